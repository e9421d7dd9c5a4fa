"""The process of a job.

    python -m analysis.shrinking JOB --workspace DIR

It writes how far it is into the job's file, and reads the stop file. One process at a time works on
a job: another one finds it taken, and ends.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic

from analysis import edits, subjects
from analysis.jobs.files import UNWRITTEN, AnyJob, JobFiles
from analysis.records import CANCELLED, FAILED, SubjectSpec
from analysis.store import Store
from analysis.subjects import roots_of_environment
from pruners.errors import CancelledError, PruneScopeError, StoreError, comes_again, one_line
from pruners.user_code import Grace, with_exits_told

if TYPE_CHECKING:
    # torch takes seconds to import, and needs a disk that takes a file: not before the job is
    # taken.
    from analysis.edits import PreparedSubject
    from analysis.measuring import Cancel

BEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Work:
    """What the steps of a job are given.

    Attributes:
        opener: Loads a subject.
        store: The workspace.
        cancel: Whether somebody asked the job to stop.
        roots: Folders below which files may lie; None allows everything.
    """

    opener: Callable[[SubjectSpec], PreparedSubject]
    store: Store
    cancel: Cancel = lambda: False
    roots: tuple[Path, ...] | None = None


# Works on a job, and yields it whenever there is something new to tell.
Steps = Callable[[AnyJob, Work], Iterator[AnyJob]]


class Diary(Generic[AnyJob]):
    """Keeps a job's file up to date, also while there is nothing new: a sign of life.

    Args:
        jobs: Those of the workspace.
        job: As it was ordered.
        cancel: Whether somebody asked the job to stop.
    """

    def __init__(self, jobs: JobFiles[AnyJob], job: AnyJob, cancel: Cancel = lambda: False) -> None:
        self._jobs, self._cancel = jobs, cancel
        self._grace = Grace()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.job = dataclasses.replace(job, pid=os.getpid(), host=socket.gethostname())
        self._thread = threading.Thread(target=self._beat, name="diary", daemon=True)

    def note(self, job: AnyJob | None = None) -> None:
        """Write how far it is; without anything new, that it is alive."""
        with self._lock:
            # Read under the lock: a sign of life must not take back what was noted meanwhile.
            self.job = dataclasses.replace(job or self.job, changed=time.time())
            self._jobs.save(self.job)

    def end(self, state: str, error: str, problem: BaseException | None = None) -> None:
        """Write how it ended before its end, and whether it would so again."""
        is_lasting = problem is not None and comes_again(problem)
        self.note(
            dataclasses.replace(
                self.job, state=state, error=error, comes_again=is_lasting, eta_seconds=None
            )
        )

    def __enter__(self) -> Diary[AnyJob]:
        self.note(self.job)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            # A disk that is full is told by the steps.
            with contextlib.suppress(StoreError):
                self.note()
            if self._cancel() and self._grace.is_over():
                with contextlib.suppress(StoreError):
                    self.end(CANCELLED, self._grace.text)
                self._grace.end_process()


class TakenError(StoreError):
    """Another process works on the job."""


def followed(
    jobs: JobFiles[AnyJob], job: AnyJob, steps: Steps[AnyJob], given: Work
) -> Iterator[AnyJob]:
    """Work on a job in this process and tell how far it is; its file is kept up to date.

    Args:
        jobs: Those of the workspace.
        job: As it was ordered; it need not have been saved.
        steps: Works on it; killed at any moment, it goes on where it was when started again.
        given: What the steps are given.

    Raises:
        TakenError: Another process works on it; it is left alone.
        PruneScopeError: As the steps; the job is noted as stopped or failed.
    """
    with jobs.claim(job.job_id) as is_mine:
        if not is_mine:
            raise TakenError(f"job {job.job_id} is worked on by another process")
        with Diary(jobs, job, given.cancel) as diary:
            try:
                for found in with_exits_told(steps(diary.job, given)):
                    diary.note(found)
                    yield found
            except CancelledError as problem:
                diary.end(CANCELLED, str(problem))
                raise
            except PruneScopeError as problem:
                diary.end(FAILED, str(problem), problem)
                raise
            except Exception as problem:
                # A bug, or a library's.
                diary.end(FAILED, one_line(problem))
                raise


def work(
    module: str,
    jobs_of: Callable[[Path], JobFiles[AnyJob]],
    steps: Steps[AnyJob],
    arguments: Sequence[str] | None = None,
) -> int:
    """Work on the job that a command line names.

    Args:
        module: What is run, for its help.
        jobs_of: The jobs of a workspace.
        steps: Works on one; see `followed`.
        arguments: The command line; that of the process by default.

    Returns:
        The exit code: 0 done, stopped, or taken by another process; 1 failed; `UNWRITTEN` where
        the workspace does not even take how the job ended.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=__doc__)
    parser.add_argument("job", help="the job's id")
    parser.add_argument("--workspace", type=Path, required=True, help="folder of the store")
    parser.add_argument(
        "--root", type=Path, action="append", help="folder below which files may lie; repeatable"
    )
    given = parser.parse_args(arguments)
    jobs, roots = jobs_of(given.workspace), given.root or roots_of_environment()
    try:
        job = jobs.get(given.job)
        prepared = _given(jobs, job, Store(given.workspace), roots)
        for _ in followed(jobs, job, steps, prepared):
            pass
    except (CancelledError, TakenError) as error:
        _log(str(error))
        return 0
    except PruneScopeError as error:
        _log(str(error))
        return UNWRITTEN if isinstance(error, StoreError) else 1
    except Exception:
        # The log has the traceback; the job's file one line.
        _log(traceback.format_exc().rstrip())
        return 1
    return 0


def _log(text: str) -> None:
    """Write to the job's log, which may lie on the disk that is full."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _given(jobs: JobFiles[AnyJob], job: AnyJob, store: Store, roots: Sequence[Path] | None) -> Work:
    """Return what the steps of a job are given; signals stop it as its stop file does."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    name, cache = job.job_id, store.statistics_folder

    def opener(spec: SubjectSpec) -> PreparedSubject:
        found = edits.prepare(subjects.load_subject(spec, roots=roots, cache=cache))
        found.use_cache(cache)
        return found

    return Work(
        opener,
        store,
        lambda: stop.is_set() or jobs.is_stopped(name),
        None if roots is None else tuple(roots),
    )
