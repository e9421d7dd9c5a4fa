from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.curves.points import points_table, write_points
from analysis.records.sums import Sums
from analysis.uncertainty.paired import paired_drop, paired_drops
from pruners.errors import InputError, StoreError
from tests.helpers.tango import reference_paired_drop

COLUMNS = (
    *("run_id", "criterion", "granularity", "layer", "group", "ratio_requested", "ratio_achieved"),
    *("kept", "total", "samples", "correct", "accuracy", "accuracy_drop", "drop_low", "drop_high"),
    *("loss", "loss_delta", "kl", "agreement", "params", "macs", "status", "reason"),
    "seconds",
)
DENSE = {100: Sums(samples=100, terms={"correct": 90, "agree": 100, "loss": 30.0})}
SUMS = {
    "samples": 100,
    "correct": 84,
    "gained": 2,
    "lost": 8,
    "agree": 88,
    "loss": 42.0,
    "kl": 5.0,
    "seconds": 1.5,
}


def point(**changes: Any) -> dict[str, Any]:
    sums = Sums.from_dict({name: changes.pop(name, value) for name, value in SUMS.items()})
    return {
        "criterion": "l1",
        "granularity": "channel",
        "layer": "conv1",
        "group": "conv1",
        "ratio_requested": 0.5,
        "kept": 3,
        "total": 7,
        "params": 1234,
        "macs": 10**12,
        "status": "measured",
        "sums": sums,
    } | changes


def test_one_point_by_hand() -> None:
    row = points_table("r1", [point()], baselines=DENSE).iloc[0]
    drop, interval = paired_drop(8, 2, 100)
    assert row["accuracy"] == 0.84
    assert row["accuracy_drop"] == pytest.approx(drop) == pytest.approx(0.06)
    assert (row["drop_low"], row["drop_high"]) == pytest.approx((interval.low, interval.high))
    assert row["ratio_achieved"] == pytest.approx(4 / 7)
    assert row["loss"] == pytest.approx(0.42)
    assert row["loss_delta"] == pytest.approx(0.12)
    assert row["kl"] == pytest.approx(0.05)
    assert row["agreement"] == 0.88


def test_columns_and_types_are_the_contract_even_without_points() -> None:
    for points in ([], [point()], [point(status="failed", samples=0, params=None, macs=None)]):
        table = points_table("r1", points, baselines={})
        assert list(table) == list(COLUMNS)
        assert table["kept"].dtype == np.int64
        assert str(table["macs"].dtype) == "Int64"
        assert table["loss"].dtype == np.float64


def test_without_labels_there_is_no_loss() -> None:
    row = points_table("r1", [point(loss=0.0)], baselines=DENSE, has_labels=False).iloc[0]
    assert np.isnan(row["loss"])
    assert np.isnan(row["loss_delta"])
    assert row["accuracy"] == 0.84


def test_unmeasured_points_are_left_out_and_failed_ones_are_not() -> None:
    points = [point(samples=0), point(status="failed"), point(status="inferred", samples=0)]
    table = points_table("r1", points, baselines=DENSE)
    assert list(table["status"]) == ["failed", "inferred"]
    assert table[["accuracy", "accuracy_drop", "drop_low", "loss"]].isna().all().all()


def test_many_intervals_at_once_are_those_of_one_at_a_time() -> None:
    generator = np.random.default_rng(3)
    samples = generator.integers(1, 400, 300)
    lost = (samples * generator.random(300)).astype(np.int64)
    gained = ((samples - lost) * generator.random(300)).astype(np.int64)
    lost[:5], gained[:5] = [0, 0, 1, samples[3], 0], [0, 1, 0, 0, samples[4]]
    for confidence in (0.8, 0.95, 0.999):
        drops, lows, highs = paired_drops(lost, gained, samples, confidence=confidence)
        for at in range(300):
            counts = (int(lost[at]), int(gained[at]), int(samples[at]))
            expected = reference_paired_drop(*counts, confidence)
            assert (drops[at], lows[at], highs[at]) == expected
            drop, interval = paired_drop(*counts, confidence)
            assert (drop, interval.low, interval.high) == expected


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files_round_trip(tmp_path: Path, suffix: str) -> None:
    failed = {"status": "failed", "reason": "no score", "samples": 0, "correct": 0}
    points = [point(reason=""), point(**failed, macs=None, group=None)]
    table = points_table("r1", points, baselines=DENSE)
    path = tmp_path / "new" / f"points{suffix}"
    write_points(table, path)
    found = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    assert list(found) == list(COLUMNS)
    assert found["reason"].fillna("").tolist() == ["", "no score"]
    pd.testing.assert_frame_equal(found, table, check_dtype=False)
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_other_suffixes_and_bad_places_are_refused(tmp_path: Path) -> None:
    table = points_table("r1", [point()], baselines=DENSE)
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        write_points(table, tmp_path / "points.pkl")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write to"):
        write_points(table, tmp_path / "file" / "points.csv")
