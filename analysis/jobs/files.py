"""Jobs of a workspace: ordered, found again, stopped; each a file of one folder."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from analysis.files import atomic, writing
from analysis.jobs.claim import claimed
from analysis.jobs.records import JobRecord, OrderRecord
from analysis.records import FAILED, INTERRUPTED, QUEUED, SubjectSpec, state_now
from analysis.worker import launch
from pruners.errors import InputError, StoreError, UnknownNameError

NAME = re.compile(r"j-[0-9a-f]{10}")
# A start takes a few milliseconds.
START_SECONDS = 30.0
# Till its process says its number: Python and torch come up, on a busy machine.
COMING_UP_SECONDS = 120.0
# Exit code of a process whose workspace does not even take how its job ended.
UNWRITTEN = 74
# How jobs that this process started ended, by file, where the disk is too full to say it there.
_UNSAID: dict[Path, JobRecord] = {}

AnyJob = TypeVar("AnyJob", bound=JobRecord)


class JobFiles(Generic[AnyJob]):
    """Jobs of one kind in a workspace.

    Args:
        workspace: Its folder.
        folder: Where the jobs' files are, in the workspace.
        kind: The record of such a job.
        module: Run as ``python -m MODULE JOB --workspace DIR``, works on one.
    """

    def __init__(self, workspace: Path, *, folder: Path, kind: type[AnyJob], module: str) -> None:
        self.workspace = workspace
        self._folder = workspace / folder
        self._kind, self._module = kind, module

    def start(self, order: OrderRecord, *, roots: Sequence[Path] | None = None) -> str:
        """Start a job, or go on with it; one that is being worked on is left alone.

        Of several sessions that order the same at once, one starts it and the others find it.

        Args:
            order: What it is for.
            roots: Folders below which the subject's files may lie; None allows everything.

        Returns:
            Its id.

        Raises:
            StoreError: The workspace cannot be written, or no process can be started.
        """
        name = order.job_id
        with claimed(self._folder / f"{name}.start", seconds=START_SECONDS) as is_mine:
            if not is_mine:
                raise StoreError(f"job {name} is being started by another process; try again")
            with contextlib.suppress(UnknownNameError):
                if self.get(name).is_live:
                    return name
            self.begin(order)
            self._spawn(name, roots)
        return name

    def begin(self, order: OrderRecord) -> AnyJob:
        """Enter a job that begins, or goes on, now; what stopped it before is forgotten.

        Raises:
            StoreError: The workspace cannot be written.
        """
        now = time.time()
        job = self._kind(order=order, state=QUEUED, started=now, changed=now)
        stop = self._stop_file(job.job_id)
        with writing(stop):
            stop.unlink(missing_ok=True)
        self.save(job)
        return job

    def _spawn(self, name: str, roots: Sequence[Path] | None) -> None:
        arguments = [name, "--workspace", str(self.workspace)]
        for root in roots or ():
            arguments += ["--root", str(root)]
        with writing(self._folder):
            process, said = launch.start_module(self._module, arguments, self._log(name))
        # Collects the exit status, or a dead process would look alive.
        threading.Thread(
            target=self._collect, args=(process, name, said), name=f"wait-{name}", daemon=True
        ).start()

    def get(self, name: str) -> AnyJob:
        """Return a job as far as it got; one whose process died is interrupted.

        Raises:
            UnknownNameError: There is none of that id.
        """
        try:
            if NAME.fullmatch(name) is None:
                raise FileNotFoundError(name)
            job = self._read(name)
        except (OSError, InputError, UnicodeDecodeError):
            known = [path.stem for path in self._folder.glob("j-*.json")]
            raise UnknownNameError("job", name, known) from None
        unsaid = _UNSAID.get(self._file(name))
        if unsaid is not None and job.is_live and unsaid.started == job.started:
            job = dataclasses.replace(job, state=unsaid.state, error=unsaid.error)
        if _is_coming_up(job):
            return job
        state = state_now(
            job.state, heartbeat=job.changed, pid=job.pid, host=job.host, now=time.time()
        )
        return dataclasses.replace(job, state=state)

    def all(self) -> list[AnyJob]:
        """Return the jobs, the one that was started last first."""
        found = []
        for path in self._folder.glob("j-*.json"):
            with contextlib.suppress(UnknownNameError):
                found.append(self.get(path.stem))
        return sorted(found, key=lambda job: job.started, reverse=True)

    def newest(self, subject: SubjectSpec, kind: str) -> AnyJob | None:
        """Return the job of a kind that was started last for a subject; None without one."""
        wanted = (subject, kind)
        mine = (job for job in self.all() if (job.order.subject, job.order.kind) == wanted)
        return next(mine, None)

    def save(self, job: AnyJob) -> None:
        """Write a job.

        Raises:
            StoreError: The workspace cannot be written.
        """
        path = self._file(job.job_id)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(path) as partial:
                partial.write_text(job.to_json(), encoding="utf-8")

    def stop(self, name: str) -> None:
        """Ask a job to stop where it is; what it has so far is kept."""
        with writing(self._stop_file(name)):
            self._stop_file(name).touch()

    def is_stopped(self, name: str) -> bool:
        """Return whether somebody asked a job to stop."""
        return self._stop_file(name).exists()

    def claim(self, name: str) -> contextlib.AbstractContextManager[bool]:
        """Claim a job for the process that works on it; see `claimed`."""
        return claimed(self._folder / f"{name}.lock")

    def _read(self, name: str) -> AnyJob:
        return self._kind.from_json(self._file(name).read_text(encoding="utf-8"))

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _stop_file(self, name: str) -> Path:
        return self._folder / f"{name}.stop"

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _collect(self, process: subprocess.Popen[bytes], name: str, said: int) -> None:
        """Wait for a process; a job that it left unfinished has failed, or was killed with it."""
        code = process.wait()
        with contextlib.suppress(Exception):
            job = self._read(name)
            if code and job.is_live:
                state = FAILED if code > 0 else INTERRUPTED
                error = _why_ended(code, launch.last_line(self._log(name), said))
                ended = dataclasses.replace(job, state=state, error=error)
                _UNSAID[self._file(name)] = ended
                self.save(ended)
                del _UNSAID[self._file(name)]


def _why_ended(code: int, said: str) -> str:
    """Return why a process left a job unfinished.

    Args:
        code: Its exit code; below 0, the signal that killed it.
        said: What it wrote last.
    """
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return f"its process was killed ({name})"
    if code == UNWRITTEN:
        return said or "the workspace cannot be written; its disk may be full"
    return f"its process ended with code {code}" + (f": {said}" if said else "")


def _is_coming_up(job: JobRecord) -> bool:
    """Return whether a job's process may still be loading what it needs."""
    is_young = 0 <= time.time() - job.changed <= COMING_UP_SECONDS
    return job.state == QUEUED and job.pid is None and is_young
