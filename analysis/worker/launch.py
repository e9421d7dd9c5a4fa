"""Start, resume and cancel sweeps that run in processes of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from analysis import records
from analysis.records import SweepSpec
from analysis.store import Store
from pruners.errors import StoreError


def start_sweep(store: Store, spec: SweepSpec, *, roots: Sequence[Path] | None = None) -> str:
    """Enter a run and start its worker.

    Args:
        store: The workspace.
        spec: What to measure.
        roots: Folders below which the subject's files may lie; None allows everything.

    Returns:
        The run's id; the run is queued until its device is free.

    Raises:
        StoreError: The store cannot be written, or no process can be started.
    """
    run_id = store.runs.create(spec)
    _spawn(store, run_id, roots)
    return run_id


def resume(store: Store, run_id: str, *, roots: Sequence[Path] | None = None) -> str:
    """Go on with a run that stopped; only what is missing is measured.

    Raises:
        InputError: The run is done or still worked on.
        StoreError: The store cannot be written, or no process can be started.
    """
    row = store.runs.get(run_id)
    store.jobs.requeue(row.run_id)
    _spawn(store, row.run_id, roots)
    return row.run_id


def cancel(store: Store, run_id: str) -> None:
    """Ask a run to stop; what was measured stays, and the run can be resumed."""
    store.jobs.request_cancel(store.runs.get(run_id).run_id)


def _spawn(store: Store, run_id: str, roots: Sequence[Path] | None) -> None:
    log = store.runs.log_path(run_id)
    arguments = [run_id, "--workspace", str(store.workspace)]
    for root in roots or ():
        arguments += ["--root", str(root)]
    try:
        process, said = start_module("analysis.worker", arguments, log)
    except OSError as error:
        reason = f"the worker cannot be started: {error}"
        store.jobs.finish(run_id, records.FAILED, owner="", seconds=0.0, error=reason)
        raise StoreError(reason) from None
    # Collects the exit status, or a dead worker would look alive as long as the launcher lives.
    threading.Thread(
        target=_collect, args=(process, store, run_id, said), name=f"wait-{run_id}", daemon=True
    ).start()


def start_module(
    module: str, arguments: Sequence[str], log: Path
) -> tuple[subprocess.Popen[bytes], int]:
    """Start one of our modules in a process that outlives this one.

    Args:
        module: Its name.
        arguments: What follows it.
        log: Where its output is appended.

    Returns:
        The process, and where in the log its output begins.

    Raises:
        OSError: The log cannot be written, or no process can be started.
    """
    # -P: a package named as ours in the working folder would be run in its place.
    command = [sys.executable, "-P", "-m", module, *arguments]
    # The packages are found wherever the launcher was started.
    path = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        said = output.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
            # Its own session: neither Ctrl-C in the launcher's terminal nor the end of the
            # dashboard reaches it.
            start_new_session=True,
        )
    return process, said


def last_line(log: Path, said: int) -> str:
    """Return what a process wrote last; empty if that was nothing.

    Args:
        log: Where its output was appended.
        said: Where in it its output begins.
    """
    with contextlib.suppress(OSError), log.open("rb") as output:
        output.seek(said)
        lines = output.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""


def _collect(process: subprocess.Popen[bytes], store: Store, run_id: str, said: int) -> None:
    """Wait for a worker; a run that it never took ends with the reason."""
    code = process.wait()
    if not code:
        return
    last = last_line(store.runs.log_path(run_id), said)
    reason = f"the worker ended at once with code {code}: {last or 'it said nothing'}"
    # A worker that took the run is its owner, and what it left is its own to tell.
    with contextlib.suppress(StoreError):
        store.jobs.finish(run_id, records.FAILED, owner="", seconds=0.0, error=reason)
