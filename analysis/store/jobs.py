"""Runs as jobs: their queue, their worker, its sign of life, their end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from analysis.records import Identity, SweepSpec
from analysis.store.connection import Database
from analysis.store.rows import SUM_LIST
from analysis.store.runs import RunStore, is_ahead
from pruners.errors import InputError, StoreError


class JobStore:
    """The work on the runs of a workspace.

    Args:
        database: That of the workspace.
        runs: Its runs.
    """

    def __init__(self, database: Database, runs: RunStore) -> None:
        self._database = database
        self._runs = runs

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
        row = self._runs.get(run_id)
        if not row.is_resumable:
            raise InputError(
                f"run {row.run_id} is {row.state}; only a run that stopped can be resumed"
            )
        now = time.time()
        with self._database.write() as db:
            db.execute(
                "UPDATE runs SET state = 'queued', queued = ?, heartbeat = ?, owner = '',"
                " pid = NULL, cancel_requested = 0, error = '', comes_again = 0,"
                " eta_seconds = NULL"
                " WHERE run_id = ?",
                (now, now, row.run_id),
            )

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
        """Start a queued run if its devices are free and it is the first in their queues."""
        now = time.time()
        with self._database.write() as db:
            own = db.execute("SELECT * FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            if own is None:
                raise StoreError(f"run {run_id} was deleted")
            others = db.execute(
                "SELECT * FROM runs WHERE run_id <> ? AND state IN ('queued', 'running')",
                (run_id,),
            ).fetchall()
            if any(is_ahead(row, own, now) for row in others):
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
        total_samples: int,
        versions: Mapping[str, str],
        spec: SweepSpec | None = None,
    ) -> None:
        """Record what a run's subject turned out to be.

        Args:
            run_id: The run.
            identity: Of the subject.
            has_labels: Whether its data have labels.
            total_samples: Of the evaluation set.
            versions: Of the programs at work.
            spec: The sweep with all that its subject decides; None leaves it as it was asked for.

        Raises:
            InputError: The run began with other weights, data or code: its points do not join.
        """
        row = self._runs.get(run_id)
        if not row.is_of(identity):
            row.require_comparable(identity)
            what = row.identity.change(identity)
            raise InputError(f"the {what} of run {run_id} changed since it began; start a new run")
        with self._database.write() as db:
            db.execute(
                "UPDATE runs SET fingerprint = ?, data_fingerprint = ?, program = ?,"
                " has_labels = ?, total_samples = ?, versions = ?, spec = coalesce(?, spec),"
                " total = CASE unit WHEN 'samples' THEN ? ELSE total END WHERE run_id = ?",
                (
                    identity.weights,
                    identity.data,
                    identity.program,
                    int(has_labels),
                    total_samples,
                    json.dumps(dict(versions)),
                    None if spec is None else spec.to_json(),
                    total_samples,
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
        self,
        run_id: str,
        state: str,
        *,
        owner: str,
        seconds: float,
        error: str = "",
        comes_again: bool = False,
    ) -> None:
        """End a run: ``done``, ``cancelled`` or ``failed``.

        Args:
            run_id: The run.
            state: The state.
            owner: Its worker.
            seconds: Wall time of the work since it wrote last.
            error: What it failed with.
            comes_again: Whether model or data are to blame, so that it would come again.

        Raises:
            StoreError: Another worker took the run over.
        """
        with self._database.write() as db:
            changed = db.execute(
                "UPDATE runs SET state = ?, error = ?, comes_again = ?, seconds = seconds + ?,"
                " eta_seconds = NULL, cancel_requested = 0, heartbeat = ?"
                " WHERE run_id = ? AND owner = ?",
                (state, error, int(comes_again), seconds, time.time(), run_id, owner),
            ).rowcount
            check_owned(changed, run_id)


def check_owned(changed: int, run_id: str) -> None:
    """Raise if a worker's update found no row: the run is another worker's, or gone.

    Raises:
        StoreError: As said.
    """
    if not changed:
        raise StoreError(f"run {run_id} was taken over by another worker, or deleted")
