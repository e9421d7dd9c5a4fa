"""Runs in the store: what was measured, how far, by whom."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis import records
from analysis.records import Progress, RunRow, Sums, SweepSpec, decode_json, state_now
from analysis.store.connection import Database
from analysis.store.merging import copy_runs, merged_spec
from analysis.store.rows import Row, sums_of
from pruners.errors import InputError, StoreDamagedError, UnknownNameError

LAST = "last"


class RunStore:
    """Runs of a workspace.

    Args:
        database: That of the workspace.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, spec: SweepSpec) -> str:
        """Enter a new run in state ``queued`` and return its id."""
        now = time.time()
        run_id = f"{time.strftime('%m%d-%H%M', time.localtime(now))}-{secrets.token_hex(2)}"
        with self._database.write() as db:
            db.execute(
                "INSERT INTO runs (run_id, created, spec, unit, device, state, queued, heartbeat)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run_id,
                    now,
                    spec.to_json(),
                    spec.unit,
                    device_key(spec.subject.device),
                    records.QUEUED,
                    now,
                    now,
                ),
            )
        return run_id

    def get(self, run_id: str) -> RunRow:
        """Return a run.

        Args:
            run_id: Its id, a beginning that fits only one, or ``last``.

        Raises:
            UnknownNameError: There is none.
        """
        found = self._rows("WHERE run_id = ?", (run_id,))
        if found:
            return found[0]
        everything = self._rows()
        if run_id == LAST and everything:
            return everything[0]
        fitting = [row for row in everything if run_id and row.run_id.startswith(run_id)]
        if len(fitting) != 1:
            raise UnknownNameError("run", run_id, [row.run_id for row in everything[:8]])
        return fitting[0]

    def all(self) -> tuple[RunRow, ...]:
        """Return all runs, the newest first."""
        return tuple(self._rows())

    def _rows(self, where: str = "", values: Sequence[Any] = ()) -> list[RunRow]:
        with self._database.read() as db:
            rows = db.execute(
                "SELECT *, (SELECT count(*) FROM points WHERE points.run_id = runs.run_id)"
                f" AS points FROM runs {where} ORDER BY created DESC, run_id",
                values,
            ).fetchall()
            baselines = {
                row["run_id"]: sums_of(row)
                # Beside max(), SQLite gives the other columns of the row that has it.
                for row in db.execute(
                    "SELECT *, max(samples) AS samples FROM baselines"
                    f" WHERE run_id IN (SELECT run_id FROM runs {where}) GROUP BY run_id",
                    values,
                )
            }
            live = db.execute(
                "SELECT run_id, device, state, queued, heartbeat, pid, host FROM runs"
                " WHERE state IN ('queued', 'running')"
            ).fetchall()
        now = time.time()
        return [
            _run_row(row, baseline=baselines.get(row["run_id"]), live=live, now=now) for row in rows
        ]

    def delete(self, run_id: str) -> None:
        """Delete a run and its points. What was measured is still known to later runs.

        Raises:
            InputError: A worker is at it.
        """
        row = self.get(run_id)
        if row.is_live:
            raise InputError(f"run {row.run_id} is {row.state}; cancel it before deleting it")
        with self._database.write() as db:
            db.execute("DELETE FROM runs WHERE run_id = ?", (row.run_id,))
        self.log_path(row.run_id).unlink(missing_ok=True)

    def rename(self, run_id: str, name: str) -> None:
        """Write what a person calls a run."""
        with self._database.write() as db:
            db.execute("UPDATE runs SET name = ? WHERE run_id = ?", (name.strip(), run_id))

    def log_path(self, run_id: str) -> Path:
        """Return where a run's worker writes what goes wrong."""
        return self._database.path.parent / "logs" / f"{run_id}.log"

    def merge(self, run_ids: Sequence[str]) -> str:
        """Join the points of several runs of one subject in a new run and return its id.

        Of a point that several runs have, the one with the most samples is taken.

        Raises:
            InputError: The runs are fewer than two, still worked on, or do not fit each other.
        """
        runs = [self.get(name) for name in run_ids]
        spec = merged_spec(runs)
        run_id = self.create(spec)
        with self._database.write() as db:
            copy_runs(db, runs, run_id, spec)
        return run_id


def device_key(device: str) -> str:
    """Return what runs must share to wait for each other: ``cuda`` is ``cuda:0``."""
    return device if device == "cpu" or ":" in device else f"{device}:0"


def _is_live(row: Row, now: float) -> bool:
    state = state_now(
        row["state"], heartbeat=row["heartbeat"], pid=row["pid"], host=row["host"], now=now
    )
    return state in records.LIVE_STATES


def is_ahead(row: Row, own: Row, now: float) -> bool:
    """Return whether another run of the device runs, or was queued before."""
    if row["run_id"] == own["run_id"] or row["device"] != own["device"] or not _is_live(row, now):
        return False
    if row["state"] == records.RUNNING:
        return True
    return bool((row["queued"], row["run_id"]) < (own["queued"], own["run_id"]))


def _run_row(row: Row, *, baseline: Sums | None, live: Sequence[Row], now: float) -> RunRow:
    state = state_now(
        row["state"], heartbeat=row["heartbeat"], pid=row["pid"], host=row["host"], now=now
    )
    waiting = state == records.QUEUED
    try:
        spec = SweepSpec.from_json(row["spec"])
        versions = decode_json(dict[str, str], row["versions"], name="versions")
    except InputError as error:
        raise StoreDamagedError(f"run {row['run_id']} cannot be read: {error}") from None
    return RunRow(
        run_id=row["run_id"],
        created=row["created"],
        spec=spec,
        state=state,
        progress=Progress(row["done"], row["total"], row["unit"]),
        points=row["points"],
        samples=row["samples"],
        total_samples=row["total_samples"],
        saves=row["saves"],
        eta_seconds=row["eta_seconds"],
        heartbeat=row["heartbeat"],
        pid=row["pid"],
        error=row["error"],
        cancel_requested=bool(row["cancel_requested"]),
        baseline=baseline,
        seconds=row["seconds"],
        fingerprint=row["fingerprint"],
        data_fingerprint=row["data_fingerprint"],
        program=row["program"],
        has_labels=bool(row["has_labels"]),
        queue_position=sum(is_ahead(other, row, now) for other in live) if waiting else 0,
        versions=versions,
        name=row["name"],
    )
