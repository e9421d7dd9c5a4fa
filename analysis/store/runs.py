"""Runs in the store: what was measured, how far, by whom."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis import records
from analysis.devices import device_names
from analysis.records import (
    DamagedRun,
    ImportSource,
    Progress,
    RunRow,
    SweepSpec,
    decode,
    decode_json,
    state_now,
)
from analysis.store.connection import Database
from analysis.store.merging import copy_runs, merged_spec
from analysis.store.rows import QueueColumns, Row, RunColumns, is_sound, sums_of
from analysis.tasks import QUANTITIES, TASKS
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
        run_id = new_run_id(now)
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
            StoreDamagedError: It cannot be read; `delete` takes it all the same.
        """
        found = self._rows("WHERE run_id = ?", (run_id,))
        row = (found or self._rows("WHERE run_id = ?", (self._full_id(run_id),)))[0]
        if isinstance(row, DamagedRun):
            raise StoreDamagedError(f"run {row.run_id} cannot be read: {row.reason}")
        return row

    def all(self) -> tuple[RunRow, ...]:
        """Return all runs that can be read, the newest first."""
        return tuple(row for row in self._rows() if isinstance(row, RunRow))

    def damaged(self) -> tuple[DamagedRun, ...]:
        """Return the runs that cannot be read, the newest first."""
        return tuple(row for row in self._rows() if isinstance(row, DamagedRun))

    def _full_id(self, name: str) -> str:
        """Return the id that a name means; see `get`."""
        with self._database.read() as db:
            rows = db.execute("SELECT run_id FROM runs ORDER BY created DESC, run_id").fetchall()
        known = [str(row["run_id"]) for row in rows]
        fitting = [item for item in known if name and item.startswith(name)]
        fitting = [name] if name in known else known[:1] if name == LAST else fitting
        if len(fitting) != 1:
            raise UnknownNameError("run", name, known[:8])
        return fitting[0]

    def _rows(self, where: str = "", values: Sequence[Any] = ()) -> list[RunRow | DamagedRun]:
        with self._database.read() as db:
            rows = db.execute(
                "SELECT *, (SELECT count(*) FROM points WHERE points.run_id = runs.run_id)"
                f" AS points FROM runs {where} ORDER BY created DESC, run_id",
                values,
            ).fetchall()
            baselines = {
                row["run_id"]: row
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

    def delete(self, run_id: str) -> str:
        """Delete a run and its points, and return its id. Later runs still know what was measured.

        Args:
            run_id: As for `get`; it need not be readable.

        Raises:
            UnknownNameError: There is none.
            InputError: A worker is at it.
        """
        run_id = self._full_id(run_id)
        with self._database.write() as db:
            row = db.execute("SELECT * FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            is_known = row is not None and is_sound(QueueColumns, row)
            state = _state(row, time.time()) if is_known else None
            if state in records.LIVE_STATES:
                raise InputError(f"run {run_id} is {state}; cancel it before deleting it")
            db.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
        self.log_path(run_id).unlink(missing_ok=True)
        return run_id

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


def new_run_id(now: float) -> str:
    """Return a name for a run that begins now: when it is, and four digits of chance."""
    return f"{time.strftime('%m%d-%H%M', time.localtime(now))}-{secrets.token_hex(2)}"


def device_key(device: str) -> str:
    """Return the devices of a run, joined by commas: runs that share one wait for each other."""
    return ",".join(sorted(set(device_names(device))))


def _state(row: Row, now: float) -> str:
    return state_now(
        row["state"], heartbeat=row["heartbeat"], pid=row["pid"], host=row["host"], now=now
    )


def _is_live(row: Row, now: float) -> bool:
    return _state(row, now) in records.LIVE_STATES


def is_ahead(row: Row, own: Row, now: float) -> bool:
    """Return whether another run on one of its devices runs, or was queued before."""
    if not is_sound(QueueColumns, row):
        return False
    shared = set(row["device"].split(",")) & set(own["device"].split(","))
    if row["run_id"] == own["run_id"] or not shared or not _is_live(row, now):
        return False
    if row["state"] == records.RUNNING:
        return True
    return bool((row["queued"], row["run_id"]) < (own["queued"], own["run_id"]))


def _run_row(
    row: Row, *, baseline: Row | None, live: Sequence[Row], now: float
) -> RunRow | DamagedRun:
    try:
        decode(RunColumns, dict(row), name="the run")
        spec = SweepSpec.from_json(row["spec"])
        # What its sums mean is known to the program that registered the task.
        TASKS.get(spec.subject.task)
        source = ImportSource.from_json(row["source"]) if row["source"] else None
        if source is not None and source.quantity not in TASKS:
            QUANTITIES.get(source.quantity)
        versions = decode_json(dict[str, str], row["versions"], name="versions")
        dense = None if baseline is None else sums_of(baseline)
    except InputError as error:
        created = row["created"] if is_sound(RunColumns, row) else 0.0
        return DamagedRun(run_id=str(row["run_id"]), created=created, reason=str(error))
    state = _state(row, now)
    waiting = state == records.QUEUED
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
        comes_again=bool(row["comes_again"]),
        cancel_requested=bool(row["cancel_requested"]),
        baseline=dense,
        seconds=row["seconds"],
        fingerprint=row["fingerprint"],
        data_fingerprint=row["data_fingerprint"],
        program=row["program"],
        has_labels=bool(row["has_labels"]),
        queue_position=sum(is_ahead(other, row, now) for other in live) if waiting else 0,
        versions=versions,
        name=row["name"],
        source=source,
    )
