"""Runs in the store: their queue, their worker, their state."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis import records
from analysis.records import Identity, Progress, RunRow, Sums, SweepSpec, decode_json, state_now
from analysis.store.rows import SUM_LIST, Row, sums_of
from analysis.store.workspace import WorkspaceStore
from pruners.errors import InputError, StoreError, UnknownNameError

LAST = "last"


class RunStore(WorkspaceStore):
    """Runs of a workspace."""

    def create_run(self, spec: SweepSpec) -> str:
        """Enter a new run in state ``queued`` and return its id."""
        now = time.time()
        run_id = f"{time.strftime('%m%d-%H%M', time.localtime(now))}-{secrets.token_hex(2)}"
        with self._database.write() as db:
            db.execute(
                "INSERT INTO runs (run_id, created, spec, device, state, queued, heartbeat)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    run_id,
                    now,
                    spec.to_json(),
                    device_key(spec.subject.device),
                    records.QUEUED,
                    now,
                    now,
                ),
            )
        return run_id

    def run(self, run_id: str) -> RunRow:
        """Return a run.

        Args:
            run_id: Its id, a beginning that fits only one, or ``last``.

        Raises:
            UnknownNameError: There is none.
        """
        found = self._runs("WHERE run_id = ?", (run_id,))
        if found:
            return found[0]
        everything = self._runs()
        if run_id == LAST and everything:
            return everything[0]
        fitting = [row for row in everything if run_id and row.run_id.startswith(run_id)]
        if len(fitting) != 1:
            raise UnknownNameError("run", run_id, [row.run_id for row in everything[:8]])
        return fitting[0]

    def runs(self) -> tuple[RunRow, ...]:
        """Return all runs, the newest first."""
        return tuple(self._runs())

    def _runs(self, where: str = "", values: Sequence[Any] = ()) -> list[RunRow]:
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

    def request_cancel(self, run_id: str) -> None:
        """Ask a run's worker to stop. A run that nobody works on is left as it is."""
        with self._database.write() as db:
            db.execute(
                "UPDATE runs SET cancel_requested = 1"
                " WHERE run_id = ? AND state IN ('queued', 'running')",
                (run_id,),
            )

    def requeue(self, run_id: str) -> None:
        """Put a run that ended before its end back in the queue.

        Raises:
            InputError: It is done, or still worked on.
        """
        row = self.run(run_id)
        if not row.is_resumable:
            raise InputError(
                f"run {row.run_id} is {row.state}; only a run that stopped can be resumed"
            )
        now = time.time()
        with self._database.write() as db:
            db.execute(
                "UPDATE runs SET state = 'queued', queued = ?, heartbeat = ?, owner = '',"
                " pid = NULL, cancel_requested = 0, error = '', eta_seconds = NULL"
                " WHERE run_id = ?",
                (now, now, row.run_id),
            )

    def delete(self, run_id: str) -> None:
        """Delete a run and its points. What was measured is still known to later runs.

        Raises:
            InputError: A worker is at it.
        """
        row = self.run(run_id)
        if row.is_live:
            raise InputError(f"run {row.run_id} is {row.state}; cancel it before deleting it")
        with self._database.write() as db:
            db.execute("DELETE FROM runs WHERE run_id = ?", (row.run_id,))
        self.log_path(row.run_id).unlink(missing_ok=True)

    def log_path(self, run_id: str) -> Path:
        """Return where a run's worker writes what goes wrong."""
        return self.workspace / "logs" / f"{run_id}.log"

    def attach(self, run_id: str, *, owner: str, pid: int, host: str) -> None:
        """Make a worker the one that works on a queued run.

        Raises:
            StoreError: The run is not queued, or another worker has it.
        """
        with self._database.write() as db:
            changed = db.execute(
                "UPDATE runs SET owner = ?, pid = ?, host = ?, heartbeat = ?"
                " WHERE run_id = ? AND state = 'queued' AND owner = ''",
                (owner, pid, host, time.time(), run_id),
            ).rowcount
        if not changed:
            raise StoreError(f"run {run_id} is not waiting for a worker; resume it first")

    def claim_device(self, run_id: str) -> bool:
        """Start a queued run if its device is free and it is the first in the queue."""
        now = time.time()
        with self._database.write() as db:
            own = db.execute("SELECT * FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            if own is None:
                raise StoreError(f"run {run_id} was deleted")
            others = db.execute(
                "SELECT * FROM runs WHERE device = ? AND run_id <> ?"
                " AND state IN ('queued', 'running')",
                (own["device"], run_id),
            ).fetchall()
            if any(_is_ahead(row, own, now) for row in others):
                return False
            db.execute("UPDATE runs SET state = 'running' WHERE run_id = ?", (run_id,))
        return True

    def beat(self, run_id: str, *, owner: str) -> bool:
        """Write a sign of life; return whether the run should stop.

        Raises:
            StoreError: Another worker took the run over, or it was deleted.
        """
        with self._database.write() as db:
            changed = db.execute(
                "UPDATE runs SET heartbeat = ? WHERE run_id = ? AND owner = ?",
                (time.time(), run_id, owner),
            ).rowcount
            check_owned(changed, run_id)
            row = db.execute("SELECT cancel_requested FROM runs WHERE run_id = ?", (run_id,))
            return bool(row.fetchone()["cancel_requested"])

    def describe(
        self,
        run_id: str,
        *,
        identity: Identity,
        has_labels: bool,
        batches: int,
        total_samples: int,
        versions: Mapping[str, str],
    ) -> None:
        """Record what a run's subject turned out to be.

        Raises:
            InputError: The run began with other weights, data or code: its points do not join.
        """
        row = self.run(run_id)
        if not row.is_of(identity):
            what = row.identity.change(identity)
            raise InputError(f"the {what} of run {run_id} changed since it began; start a new run")
        with self._database.write() as db:
            db.execute(
                "UPDATE runs SET fingerprint = ?, data_fingerprint = ?, program = ?,"
                " has_labels = ?, batches = ?, total_samples = ?, versions = ? WHERE run_id = ?",
                (
                    identity.weights,
                    identity.data,
                    identity.program,
                    int(has_labels),
                    batches,
                    total_samples,
                    json.dumps(dict(versions)),
                    run_id,
                ),
            )
            # The dense model on the same samples is the same for every run.
            db.execute(
                f"INSERT OR IGNORE INTO baselines (run_id, {SUM_LIST}) SELECT ?, {SUM_LIST}"
                " FROM baselines WHERE run_id IN (SELECT run_id FROM runs"
                " WHERE fingerprint = ? AND data_fingerprint = ? AND program = ?)",
                (run_id, identity.weights, identity.data, identity.program),
            )

    def finish(
        self, run_id: str, state: str, *, owner: str, seconds: float, error: str = ""
    ) -> None:
        """End a run: ``done``, ``cancelled`` or ``failed``.

        Raises:
            StoreError: Another worker took the run over.
        """
        with self._database.write() as db:
            changed = db.execute(
                "UPDATE runs SET state = ?, error = ?, seconds = seconds + ?, eta_seconds = NULL,"
                " cancel_requested = 0, heartbeat = ? WHERE run_id = ? AND owner = ?",
                (state, error, seconds, time.time(), run_id, owner),
            ).rowcount
            check_owned(changed, run_id)


def check_owned(changed: int, run_id: str) -> None:
    """Raise if a worker's update found no row: the run is another worker's, or gone.

    Raises:
        StoreError: As said.
    """
    if not changed:
        raise StoreError(f"run {run_id} was taken over by another worker, or deleted")


def device_key(device: str) -> str:
    """Return what runs must share to wait for each other: ``cuda`` is ``cuda:0``."""
    return device if device == "cpu" or ":" in device else f"{device}:0"


def _is_live(row: Row, now: float) -> bool:
    state = state_now(
        row["state"], heartbeat=row["heartbeat"], pid=row["pid"], host=row["host"], now=now
    )
    return state in records.LIVE_STATES


def _is_ahead(row: Row, own: Row, now: float) -> bool:
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
    return RunRow(
        run_id=row["run_id"],
        created=row["created"],
        spec=SweepSpec.from_json(row["spec"]),
        state=state,
        progress=Progress(
            batch=row["batch"],
            batches=row["batches"],
            samples=row["done_samples"],
            total_samples=row["total_samples"],
            points=row["points"],
        ),
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
        queue_position=sum(_is_ahead(other, row, now) for other in live) if waiting else 0,
        versions=decode_json(dict[str, str], row["versions"], name="versions"),
    )
