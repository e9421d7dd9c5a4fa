"""The process of a job.

    python -m analysis.shrinking JOB --workspace DIR

It writes how far it is into the job's file. Killed at any moment, it loses at most the plan in
flight: the same job started again goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from analysis import edits, subjects
from analysis.edits import PreparedSubject
from analysis.records import CANCELLED, FAILED, SubjectSpec
from analysis.shrinking.jobs import Jobs
from analysis.shrinking.records import Job
from analysis.shrinking.steps import iter_job
from analysis.store import Store
from analysis.subjects import roots_of_environment
from pruners.errors import CancelledError, PruneScopeError, one_line
from pruners.user_code import exit_text

BEAT_SECONDS = 1.0


class Diary:
    """Keeps a job's file up to date, also while there is nothing new: a sign of life.

    Args:
        jobs: Those of the workspace.
        job: As it was ordered.
    """

    def __init__(self, jobs: Jobs, job: Job) -> None:
        self._jobs = jobs
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.job = dataclasses.replace(job, pid=os.getpid(), host=socket.gethostname())
        self._thread = threading.Thread(target=self._beat, name="diary", daemon=True)

    def note(self, job: Job) -> None:
        """Write how far it is."""
        with self._lock:
            self.job = dataclasses.replace(job, changed=time.time())
            self._jobs.save(self.job)

    def __enter__(self) -> Diary:
        self.note(self.job)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self.note(self.job)


def main(arguments: Sequence[str] | None = None) -> int:
    """Work on a job; return the exit code: 0 done or stopped, 1 failed."""
    parser = argparse.ArgumentParser(prog="python -m analysis.shrinking", description=__doc__)
    parser.add_argument("job", help="the job's id")
    parser.add_argument("--workspace", type=Path, required=True, help="folder of the store")
    parser.add_argument(
        "--root", type=Path, action="append", help="folder below which files may lie; repeatable"
    )
    given = parser.parse_args(arguments)
    jobs, roots = Jobs(given.workspace), given.root or roots_of_environment()
    try:
        with Diary(jobs, jobs.get(given.job)) as diary:
            _work(jobs, Store(given.workspace), diary, roots)
    except PruneScopeError as error:
        print(error, file=sys.stderr)
        return 1
    return int(diary.job.state == FAILED)


def _work(jobs: Jobs, store: Store, diary: Diary, roots: Sequence[Path] | None) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    name, cache = diary.job.job_id, store.statistics_folder

    def opener(spec: SubjectSpec) -> PreparedSubject:
        found = edits.prepare(subjects.load_subject(spec, roots=roots, cache=cache))
        found.use_cache(cache)
        return found

    state, error = FAILED, ""
    try:
        for job in iter_job(
            diary.job, opener, store, cancel=lambda: stop.is_set() or jobs.is_stopped(name)
        ):
            diary.note(job)
        return
    except CancelledError as problem:
        state, error = CANCELLED, str(problem)
    except PruneScopeError as problem:
        error = str(problem)
    except SystemExit as problem:
        error = exit_text(problem)
    except Exception as problem:
        # A bug, or a library's; the log has the traceback.
        error = one_line(problem)
        traceback.print_exc()
    diary.note(dataclasses.replace(diary.job, state=state, error=error, eta_seconds=None))
