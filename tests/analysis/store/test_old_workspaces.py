"""Workspaces that older programs wrote: opened by this one, they say the same to the last bit."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.curves.points import points_table
from analysis.records.progress import Progress
from analysis.records.sums import SliceCounts, Sums
from analysis.store.connection import FILE
from analysis.store.store import Store
from tests.helpers.old_workspace import INTEGERS, SUMS, write_old_workspace

EXHAUSTIVE, ADAPTIVE, QUEUED = "0101-0000-aaaa", "0101-0001-bbbb", "0101-0002-cccc"
Content = dict[str, list[dict[str, Any]]]


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return write_old_workspace(tmp_path)


@pytest.fixture
def store(content: Content, tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def bits(sums: Sums) -> list[tuple[str, object]]:
    """The exact numbers: an int as it is, a float by its eight bytes."""
    return [
        (name, value if isinstance(value, int) else struct.pack("<d", value))
        for name, value in sums.to_dict().items()
    ]


def old_bits(row: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        (name, row[name] if name in INTEGERS else struct.pack("<d", row[name])) for name in SUMS
    ]


def test_every_sum_is_kept_to_the_last_bit(store: Store, content: Content) -> None:
    found = store.points.measured(row["cache_key"] for row in content["measured"])
    for row in content["measured"]:
        assert bits(found[row["cache_key"]]) == old_bits(row)
    for run_id in (EXHAUSTIVE, ADAPTIVE):
        state = store.points.state(run_id)
        known = {(key.layer, key.criterion, key.kept): sums for key, sums in state.sums.items()}
        rows = [row for row in content["points"] if row["run_id"] == run_id and row["samples"]]
        assert len(known) == len(rows) == 32
        for row in rows:
            cell = (row["layer"], row["criterion"], row["kept"])
            assert bits(known[cell]) == old_bits(row)
        last = [row for row in content["baselines"] if row["run_id"] == run_id][-1]
        assert bits(state.baseline) == old_bits(last)
        assert set(state.looks.values()) == {(SliceCounts(3, 1, 64), SliceCounts(2, 0, 186))}
        assert (len(state.failed), len(state.inferred)) == (4, 4)


def test_nothing_else_of_the_tables_changes(store: Store, content: Content, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as db:
        db.row_factory = sqlite3.Row
        for table, order in (("points", "run_id, position"), ("measured", "cache_key")):
            rows = [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY {order}")]
            assert len(rows) == len(content[table])
            for row, before in zip(rows, content[table], strict=True):
                kept = before.keys() - set(SUMS[1:7])
                assert {name: row[name] for name in kept} == {name: before[name] for name in kept}
                assert row.keys() == kept | {"terms"}
    db.close()


@pytest.mark.parametrize("run_id", [EXHAUSTIVE, ADAPTIVE])
def test_the_points_table_is_the_same_to_the_last_bit(
    store: Store, content: Content, run_id: str
) -> None:
    def sums_of(row: dict[str, Any]) -> Sums:
        return Sums.from_dict({name: row[name] for name in SUMS})

    expected = points_table(
        run_id,
        [{**row, "sums": sums_of(row)} for row in content["points"] if row["run_id"] == run_id],
        baselines={
            row["samples"]: sums_of(row) for row in content["baselines"] if row["run_id"] == run_id
        },
    )
    found = store.points.table(run_id)
    assert len(found) == 36
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    measured = [
        row
        for row in content["points"]
        if row["run_id"] == run_id and row["samples"] and row["status"] != "failed"
    ]
    shown = found[found["accuracy"].notna()]
    assert shown["loss"].tolist() == [row["loss"] / row["samples"] for row in measured]
    assert shown["correct"].tolist() == [row["correct"] for row in measured]
    assert shown["agreement"].tolist() == [row["agree"] / row["samples"] for row in measured]


def test_the_progress_names_what_it_counts(store: Store) -> None:
    for run_id, progress, samples in (
        (EXHAUSTIVE, Progress(250, 500, "samples"), (250, 500)),
        (ADAPTIVE, Progress(3, 40, "curves"), (128, 500)),
        (QUEUED, Progress(0, None, "curves"), (0, 0)),
    ):
        row = store.runs.get(run_id)
        assert row.progress == progress
        assert (row.samples, row.total_samples) == samples
        assert (row.seconds, row.versions) == (12.5, {"torch": "2"})


def test_a_migrated_workspace_can_be_worked_on(store: Store) -> None:
    merged = store.runs.merge([EXHAUSTIVE, ADAPTIVE])
    assert len(store.points.table(merged)) == 36
    store.runs.delete(EXHAUSTIVE)
    assert len(store.points.table(merged)) == 36
