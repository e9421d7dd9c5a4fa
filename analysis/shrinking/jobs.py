"""Jobs of a workspace: ordered, found again, stopped; each a file beside its search."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from analysis.files import atomic, writing
from analysis.records import FAILED, QUEUED, SubjectSpec, state_now
from analysis.shrinking.records import Job, Order
from analysis.worker import launch
from pruners.errors import InputError, UnknownNameError

FOLDER = Path("searches") / "jobs"
NAME = re.compile(r"j-[0-9a-f]{10}")


class Jobs:
    """Jobs of a workspace.

    Args:
        workspace: Its folder.
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._folder = workspace / FOLDER

    def start(self, order: Order, *, roots: Sequence[Path] | None = None) -> str:
        """Start a job, or go on with it; one that is being worked on is left alone.

        Args:
            order: What it is for.
            roots: Folders below which the subject's files may lie; None allows everything.

        Returns:
            Its id.

        Raises:
            StoreError: The workspace cannot be written, or no process can be started.
        """
        name = order.job_id
        with contextlib.suppress(UnknownNameError):
            if self.get(name).is_live:
                return name
        now = time.time()
        self._stop_file(name).unlink(missing_ok=True)
        self.save(Job(order=order, state=QUEUED, started=now, changed=now))
        arguments = [name, "--workspace", str(self._workspace)]
        for root in roots or ():
            arguments += ["--root", str(root)]
        with writing(self._folder):
            process, _ = launch.start_module("analysis.shrinking", arguments, self._log(name))
        # Collects the exit status, or a dead process would look alive.
        threading.Thread(
            target=self._collect, args=(process, name), name=f"wait-{name}", daemon=True
        ).start()
        return name

    def get(self, name: str) -> Job:
        """Return a job as far as it got; one whose process died is interrupted.

        Raises:
            UnknownNameError: There is none of that id.
        """
        try:
            if NAME.fullmatch(name) is None:
                raise FileNotFoundError(name)
            job = Job.from_json(self._file(name).read_text(encoding="utf-8"))
        except (OSError, InputError, UnicodeDecodeError):
            known = [path.stem for path in self._folder.glob("j-*.json")]
            raise UnknownNameError("job", name, known) from None
        state = state_now(
            job.state, heartbeat=job.changed, pid=job.pid, host=job.host, now=time.time()
        )
        return dataclasses.replace(job, state=state)

    def newest(self, subject: SubjectSpec, kind: str) -> Job | None:
        """Return the job of a kind that was started last for a subject; None without one."""
        found = []
        for path in self._folder.glob("j-*.json"):
            with contextlib.suppress(UnknownNameError):
                found.append(self.get(path.stem))
        mine = [job for job in found if (job.order.subject, job.order.kind) == (subject, kind)]
        return max(mine, key=lambda job: job.started, default=None)

    def save(self, job: Job) -> None:
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
        """Ask a job to stop after the plan at hand, with the best plan so far."""
        with writing(self._stop_file(name)):
            self._stop_file(name).touch()

    def is_stopped(self, name: str) -> bool:
        """Return whether somebody asked a job to stop."""
        return self._stop_file(name).exists()

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _stop_file(self, name: str) -> Path:
        return self._folder / f"{name}.stop"

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _collect(self, process: subprocess.Popen[bytes], name: str) -> None:
        """Wait for a process; a job that it left unfinished has failed."""
        code = process.wait()
        with contextlib.suppress(Exception):
            job = Job.from_json(self._file(name).read_text(encoding="utf-8"))
            if code and job.is_live:
                error = f"its process ended with code {code}"
                self.save(dataclasses.replace(job, state=FAILED, error=error))
