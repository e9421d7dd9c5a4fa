"""Joining the points of several runs."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.records import RunRow, SweepSpec
from analysis.store.rows import POINT_COLUMNS, SUM_COLUMNS, SUM_LIST, placeholders
from pruners.errors import InputError

# What may differ between runs that are joined; everything else changes what a point means.
_FREE = (
    "subject",
    "criteria",
    "ratios",
    "layers",
    "mode",
    "tolerance",
    "confidence",
    "probe",
    "executor",
    "ray_address",
)


def merged_spec(runs: Sequence[RunRow]) -> SweepSpec:
    """Return the sweep that holds the points of all runs.

    Raises:
        InputError: The runs are fewer than two, still worked on, or do not fit each other.
    """
    names = ", ".join(run.run_id for run in runs)
    if len({run.run_id for run in runs}) < 2:
        raise InputError(f"merging takes two different runs or more, found {names or 'none'}")
    for run in runs:
        if run.source is not None:
            raise InputError(
                f"run {run.run_id} was imported from {run.source.file}; only runs that were "
                "measured here can be merged"
            )
        if run.is_live:
            raise InputError(f"run {run.run_id} is {run.state}; wait for it, or cancel it")
        if not run.fingerprint:
            raise InputError(f"run {run.run_id} has measured nothing")
    first = runs[0]
    for run in runs[1:]:
        if run.fingerprint != first.fingerprint:
            raise InputError(f"runs {first.run_id} and {run.run_id} have different weights")
        first.require_comparable(run.identity)
        run.require_comparable(first.identity)
        if run.data_fingerprint != first.data_fingerprint:
            raise InputError(
                f"runs {first.run_id} and {run.run_id} were evaluated on different samples"
            )
        if run.identity.change(first.identity):
            raise InputError(f"runs {first.run_id} and {run.run_id} ran different code")
        _check_same(first, run)
    return dataclasses.replace(
        first.spec,
        criteria=tuple(dict.fromkeys(item for run in runs for item in run.spec.criteria)),
        ratios=tuple(sorted({item for run in runs for item in run.spec.ratios})),
        layers=first.spec.layers if len({run.spec.layers for run in runs}) == 1 else "*",
        probe=max(run.spec.probe or 0 for run in runs),
        mode="exhaustive" if any(run.spec.mode == "exhaustive" for run in runs) else "adaptive",
    )


def _check_same(first: RunRow, other: RunRow) -> None:
    for item in dataclasses.fields(SweepSpec):
        one, two = getattr(first.spec, item.name), getattr(other.spec, item.name)
        if item.name not in _FREE and one != two:
            raise InputError(
                f"runs {first.run_id} and {other.run_id} differ in {item.name}: {one} and {two}"
            )


def merged_rows(rows: Sequence[Mapping[str, Any]], spec: SweepSpec) -> list[Mapping[str, Any]]:
    """Return one row a point, by layer, criterion and ratio as in a sweep.

    Args:
        rows: The points of the first run, then those of the second, and so on.
        spec: The joined sweep.
    """
    best: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in rows:
        cell = (row["layer"], row["group"], row["criterion"], row["ratio_requested"])
        if cell not in best or row["samples"] > best[cell]["samples"]:
            best[cell] = row
    # The first run that has a layer says where it stands.
    places = {(row["layer"], row["group"]): 0 for row in rows}
    order = {place: at for at, place in enumerate(places)}
    return sorted(
        best.values(),
        key=lambda row: (
            order[(row["layer"], row["group"])],
            spec.criteria.index(row["criterion"]),
            row["ratio_requested"],
        ),
    )


def copy_runs(db: sqlite3.Connection, runs: Sequence[RunRow], run_id: str, spec: SweepSpec) -> None:
    """Copy what several runs measured into a new one, and make it done."""
    rows = [
        row
        for run in runs
        for row in db.execute(
            "SELECT * FROM points WHERE run_id = ? ORDER BY position", (run.run_id,)
        )
    ]
    columns = (*POINT_COLUMNS, "status", "reason", *SUM_COLUMNS)
    db.executemany(
        f"INSERT INTO points ({', '.join(columns)}) VALUES ({placeholders(len(columns))})",
        [
            tuple({**row, "run_id": run_id, "position": at}[name.strip('"')] for name in columns)
            for at, row in enumerate(merged_rows(rows, spec))
        ],
    )
    for run in runs:
        db.execute(
            f"INSERT OR IGNORE INTO baselines (run_id, {SUM_LIST})"
            f" SELECT ?, {SUM_LIST} FROM baselines WHERE run_id = ?",
            (run_id, run.run_id),
        )
    best = max(runs, key=lambda run: run.samples)
    done, total = best.samples, best.total_samples
    if best.progress.unit == spec.unit:
        done, total = best.progress.done, best.progress.total or 0
    db.execute(
        "UPDATE runs SET (state, fingerprint, data_fingerprint, program, has_labels, samples,"
        " total_samples, versions) = (SELECT 'done', fingerprint, data_fingerprint, program,"
        " has_labels, samples, total_samples, versions FROM runs WHERE run_id = ?),"
        " done = ?, total = ?, seconds = ? WHERE run_id = ?",
        (best.run_id, done, total, sum(run.seconds for run in runs), run_id),
    )
