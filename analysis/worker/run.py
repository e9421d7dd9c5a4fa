"""The worker: measures one run of the store, in a process of its own.

    python -m analysis.worker RUN --workspace DIR

It waits until its device is free, loads the subject, and writes each batch to the store. Killed at
any moment, it loses at most the batch in flight.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import edits, records, subjects, sweeps
from analysis.records import RunRow
from analysis.store import Store
from analysis.subjects import roots_of_environment
from analysis.versions import versions
from analysis.worker.heartbeat import Heartbeat, stop_on_signals
from pruners.errors import (
    PruneScopeError,
    StoreBusyError,
    StoreError,
    comes_again,
    one_line,
)
from pruners.user_code import Grace, exits_told

if TYPE_CHECKING:
    # torch takes seconds to import and much memory: not while the run waits in the queue.
    from analysis.records import SweepUpdate
    from analysis.sweeps import PlannedSweep

QUEUE_SECONDS = 0.5
# A database that other programs keep locked is tried again for this long.
LOCKED_SECONDS = 300.0

OnRun = Callable[[RunRow], None]
Opener = Callable[[RunRow], "PlannedSweep"]


def run_to_end(
    store: Store,
    run_id: str,
    *,
    roots: Sequence[Path] | None = None,
    progress: OnRun = lambda row: None,
    open_sweep: Opener | None = None,
    grace: Grace | None = None,
) -> RunRow:
    """Work on a queued run until it is done, cancelled or failed.

    Args:
        store: The workspace.
        run_id: A queued run that no worker has.
        roots: Folders below which the subject's files may lie; None allows everything.
        progress: Called with the run after each change.
        open_sweep: Loads the run's subject and plans its sweep; the default reads its addresses.
        grace: Ends the process if users' code does not come back when the run is to stop; None
            leaves the process alone.

    Returns:
        The run in its final state.

    Raises:
        StoreError: The store cannot be written, or another worker has the run. What was written
            before stays, and the run can be resumed.
    """
    owner = secrets.token_hex(8)
    store.jobs.attach(run_id, owner=owner, pid=os.getpid(), host=socket.gethostname())
    beats = Heartbeat(store, run_id, owner=owner, grace=grace)
    with beats as heartbeat, stop_on_signals(heartbeat):
        state, error, is_lasting = records.CANCELLED, "", False
        try:
            if _has_turn(store, run_id, heartbeat, progress):
                opener = open_sweep or _opener(roots, store.statistics_folder)
                with exits_told():
                    state = _measure(store, run_id, owner, heartbeat, progress, opener)
        except StoreError as problem:
            # Of a full disk this may be the first write that fits; of a lost run it is refused.
            with contextlib.suppress(StoreError):
                store.jobs.finish(
                    run_id,
                    records.FAILED,
                    owner=owner,
                    seconds=heartbeat.lap(),
                    error=str(problem),
                )
            raise
        except PruneScopeError as problem:
            state, error, is_lasting = records.FAILED, str(problem), comes_again(problem)
        except KeyboardInterrupt:
            heartbeat.request_stop()
        except Exception as problem:
            # A bug, or a library's; the log of the worker has the traceback.
            state, error = records.FAILED, one_line(problem)
            _log_traceback(store, run_id)
        _retried(
            partial(
                store.jobs.finish,
                run_id,
                state,
                owner=owner,
                seconds=heartbeat.lap(),
                error=error,
                comes_again=is_lasting,
            )
        )
    row = store.runs.get(run_id)
    progress(row)
    return row


def _has_turn(store: Store, run_id: str, heartbeat: Heartbeat, progress: OnRun) -> bool:
    """Wait in the queue of the device; False if asked to stop before."""
    while not store.jobs.claim_device(run_id):
        progress(store.runs.get(run_id))
        if heartbeat.wait(QUEUE_SECONDS):
            return False
    progress(store.runs.get(run_id))
    return not heartbeat.should_stop


def _opener(roots: Sequence[Path] | None, cache: Path) -> Opener:
    def opened(row: RunRow) -> PlannedSweep:
        subject = subjects.load_subject(row.spec.subject, roots=roots, cache=cache)
        prepared = edits.prepare(subject)
        return sweeps.plan_sweep(prepared, row.spec)

    return opened


def _measure(
    store: Store,
    run_id: str,
    owner: str,
    heartbeat: Heartbeat,
    progress: OnRun,
    opener: Opener,
) -> str:
    from pruners.preserve import checksum

    row = store.runs.get(run_id)
    planned = opener(row)
    prepared = planned.prepared
    prepared.use_cache(store.statistics_folder)
    before = checksum(prepared.model)
    _enter(store, row, planned)
    for update in _updates(store, run_id, planned, heartbeat):
        save = partial(store.points.save, owner=owner, seconds=heartbeat.lap())
        _retried(partial(save, run_id, update))
        progress(store.runs.get(run_id))
    if checksum(prepared.model) != before:
        raise PruneScopeError("the model was changed by its own sweep; the points are not valid")
    row = store.runs.get(run_id)
    is_done = row.progress.is_complete or not heartbeat.should_stop
    return records.DONE if is_done else records.CANCELLED


def _enter(store: Store, row: RunRow, planned: PlannedSweep) -> None:
    """Record the subject's identity and the points, with what is known of them."""
    # First: whoever reads the identity finds the layers and groups.
    store.inventories.keep(planned.prepared.identity, planned.prepared.inventory)
    store.jobs.describe(
        row.run_id,
        identity=planned.prepared.identity,
        has_labels=planned.prepared.subject.has_labels,
        total_samples=planned.slices.total,
        versions=versions(),
        spec=planned.spec,
    )
    store.points.enter(row.run_id, planned.identified)


def _updates(
    store: Store, run_id: str, planned: PlannedSweep, heartbeat: Heartbeat
) -> Iterator[SweepUpdate]:
    state = store.points.state(run_id)
    yield from sweeps.iter_sweep(planned, resume=state, cancel=lambda: heartbeat.should_stop)


def _retried(write: Callable[[], None]) -> None:
    """Write; while another program keeps the database locked, try again."""
    deadline = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            write()
        except StoreBusyError:
            if time.monotonic() > deadline:
                raise
        else:
            return


def _log_traceback(store: Store, run_id: str) -> None:
    import traceback

    path = store.runs.log_path(run_id)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(traceback.format_exc())
    except OSError as error:
        print(f"the log {path} cannot be written: {error}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; return the exit code: 0 done or cancelled, 1 failed."""
    parser = argparse.ArgumentParser(prog="python -m analysis.worker", description=__doc__)
    parser.add_argument("run", help="the run's id")
    parser.add_argument("--workspace", type=Path, required=True, help="folder of the store")
    parser.add_argument(
        "--root", type=Path, action="append", help="folder below which files may lie; repeatable"
    )
    given = parser.parse_args(arguments)
    try:
        roots = given.root or roots_of_environment()
        row = run_to_end(Store(given.workspace), given.run, roots=roots, grace=Grace())
    except PruneScopeError as error:
        print(error, file=sys.stderr)
        return 1
    if row.error:
        print(row.error, file=sys.stderr)
    return int(row.state == records.FAILED)
