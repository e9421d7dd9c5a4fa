"""Jobs of any kind: one process works on one, however many start it."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import UnidentifiedImageError

from analysis.edits import prepare
from analysis.jobs import process
from analysis.jobs.claim import claimed
from analysis.jobs.files import UNWRITTEN
from analysis.records.run import CANCELLED, DONE, FAILED, INTERRUPTED, QUEUED, RUNNING
from analysis.records.subject import SubjectSpec
from analysis.shrinking.jobs import Jobs
from analysis.shrinking.records import Job, Order
from analysis.store import Store
from analysis.worker import launch
from pruners.errors import (
    CaptureError,
    InputError,
    OutOfReachError,
    StoreError,
    StoreFullError,
    UnmetError,
)
from pruners.user_code import exits, no_exit
from tests.test_architecture import HEAVY, ROOT

ORDER = Order(subject=SubjectSpec(model="sample:lenet5", data="sample:fashion-mnist"))


def test_sessions_that_start_a_job_at_once_start_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found no job, and two processes wrote one search."""
    started: list[str] = []

    def start_module(
        module: str, arguments: list[str], log: Path
    ) -> tuple[subprocess.Popen[bytes], int]:
        # As long as a process takes to begin.
        time.sleep(0.2)
        started.append(arguments[0])
        return subprocess.Popen([sys.executable, "-c", ""]), 0

    monkeypatch.setattr(launch, "start_module", start_module)
    barrier, names = threading.Barrier(4), []

    def session() -> None:
        barrier.wait()
        names.append(Jobs(tmp_path).start(ORDER))

    threads = [threading.Thread(target=session) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == [ORDER.job_id] * 4
    assert started == [ORDER.job_id]


def test_a_second_process_finds_the_job_taken_and_leaves_it_alone(tmp_path: Path) -> None:
    """A job whose sign of life came late was worked on twice."""
    jobs = Jobs(tmp_path)
    job = Job(order=ORDER, state=QUEUED, started=time.time(), changed=time.time())
    jobs.save(job)
    (file,) = tmp_path.rglob("j-*.json")
    before = file.read_bytes()
    command = [sys.executable, "-m", "analysis.shrinking", job.job_id, "--workspace", str(tmp_path)]
    with jobs.claim(job.job_id) as is_mine:
        assert is_mine
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, file.read_bytes()) == (0, before)
    assert "worked on by another process" in done.stderr


def test_a_claim_ends_with_its_process_even_if_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "job.lock"
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom analysis.jobs.claim import claimed\n"
        f"with claimed(Path({str(path)!r})) as mine:\n    print(mine, flush=True)\n"
        "    time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    with claimed(path) as found:
        assert not found
    os.kill(other.pid, 9)
    other.wait()
    other.stdout.close()
    with claimed(path) as found:
        assert found


def test_a_sign_of_life_does_not_take_back_how_a_job_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beat that waited for the file wrote the state from before the end."""
    monkeypatch.setattr(process, "BEAT_SECONDS", 0.01)
    jobs = Jobs(tmp_path)
    for _ in range(5):
        with process.Diary(jobs, Job(order=ORDER, state=RUNNING)) as diary:
            diary._lock.acquire()
            # The beat waits for the lock with what it is about to write.
            time.sleep(0.03)
            diary.job = dataclasses.replace(diary.job, state=DONE)
            diary._lock.release()
        assert jobs.get(ORDER.job_id).state == DONE


def raised(problem: BaseException, cause: BaseException | None = None) -> BaseException:
    problem.__context__ = cause
    return problem


def from_itself() -> BaseException:
    """What ``raise error from error`` leaves; whoever went through the causes never came back."""
    problem = InputError("no sample")
    problem.__cause__ = problem
    return problem


@pytest.mark.parametrize(
    ("problem", "is_lasting"),
    [
        (from_itself(), True),
        (InputError("three parts a sample"), True),
        (OutOfReachError("too small"), True),
        (UnmetError("give it more time"), False),
        (CaptureError("control flow"), True),
        (StoreFullError("the disk is full"), False),
        (RuntimeError("a library's"), False),
        (raised(InputError("cannot read"), raised(ValueError(), OSError(5, "I/O"))), False),
        (raised(InputError("not an image"), UnidentifiedImageError("odd")), True),
    ],
)
def test_a_job_knows_whether_it_would_fail_so_again(
    tmp_path: Path, problem: BaseException, is_lasting: bool
) -> None:
    def steps(job: Job, _: object) -> Iterator[Job]:
        raise problem
        yield

    jobs = Jobs(tmp_path)
    given = process.Work(prepare, Store(tmp_path))  # type: ignore[arg-type]
    with pytest.raises(type(problem)):
        list(process.followed(jobs, jobs.begin(ORDER), steps, given))
    assert (jobs.get(ORDER.job_id).state, jobs.get(ORDER.job_id).comes_again) == (
        FAILED,
        is_lasting,
    )
    assert not jobs.begin(ORDER).comes_again


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (SystemExit("bye"), "the code called sys.exit('bye'); it must return instead"),
        (GeneratorExit("bye"), "the code raised GeneratorExit: bye"),
    ],
)
def test_users_code_that_ends_the_program_fails_its_job(
    tmp_path: Path, problem: BaseException, said: str
) -> None:
    """The latter left the job at work, in words, and a traceback."""

    def steps(job: Job, _: object) -> Iterator[Job]:
        yield job
        raise problem

    jobs, given = Jobs(tmp_path), process.Work(prepare, Store(tmp_path))  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        list(process.followed(jobs, jobs.begin(ORDER), steps, given))
    found = jobs.get(ORDER.job_id)
    assert (str(caught.value), found.error) == (said, said)
    assert (found.state, found.comes_again) == (FAILED, True)
    # Whoever follows and leaves is no code that ends: the job is left as it was.
    left = process.followed(jobs, jobs.begin(ORDER), steps, given)
    next(left)
    left.close()
    assert not jobs.get(ORDER.job_id).error


@pytest.mark.parametrize(
    "odd", [{"pid": 10**30}, {"pid": 2**31}, {"changed": float("nan")}, {"changed": float("inf")}]
)
def test_a_damaged_job_is_no_living_one(tmp_path: Path, odd: dict[str, float]) -> None:
    """A number that no process has raised; a moment that is none lived for ever."""
    jobs, now = Jobs(tmp_path), time.time()
    whole = Job(order=ORDER, state=RUNNING, started=now, changed=now, pid=os.getpid())
    jobs.save(dataclasses.replace(whole, host=socket.gethostname(), **odd))
    assert [job.state for job in jobs.all()] == [INTERRUPTED]


def test_a_job_whose_process_is_slow_to_come_up_is_none_that_was_interrupted(
    tmp_path: Path,
) -> None:
    """Found on a busy machine: a job was called interrupted, and ended as done."""
    jobs, now = Jobs(tmp_path), time.time()
    states = {}
    for seconds in (60, 300, -60):
        jobs.save(Job(order=ORDER, state=QUEUED, started=now, changed=now - seconds))
        states[seconds] = jobs.get(ORDER.job_id).state
    assert states == {60: QUEUED, 300: INTERRUPTED, -60: INTERRUPTED}


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    """Beginning a job in such a workspace ended in a traceback."""
    (tmp_path / "searches").touch()
    with pytest.raises(StoreError, match="cannot write to"):
        Jobs(tmp_path).begin(ORDER)


def test_users_code_that_never_ends_is_ended_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A training loop of one's own that never ends could not be stopped."""
    monkeypatch.setattr(process, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(exits, "GRACE_SECONDS", 0.05)
    ended = threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    monkeypatch.setattr(process, "Grace", lambda: exits.Grace(end))
    jobs = Jobs(tmp_path)
    job = jobs.begin(ORDER)
    with process.Diary(jobs, job, lambda: jobs.is_stopped(job.job_id)) as diary:
        diary.note(dataclasses.replace(diary.job, state=RUNNING))
        time.sleep(0.1)
        jobs.stop(job.job_id)
        # Steps of ours are left to come to their end.
        assert not ended.wait(0.2)
        with no_exit():
            assert ended.wait(10)
        found = jobs.get(job.job_id)
    assert (found.state, codes[0]) == (CANCELLED, 130)
    assert "code of yours did not come back within 0.05 seconds" in found.error
    assert "its process was ended" in capsys.readouterr().err


def left_by(jobs: Jobs, code: str, *arguments: str) -> Job:
    """Return what a job is told to be after a process that did not note its end."""
    job = Job(order=ORDER, state=RUNNING, started=time.time(), changed=time.time())
    jobs.save(job)
    log = jobs._log(job.job_id)
    log.write_text("of an earlier start\n")
    with log.open("ab") as output:
        said = output.tell()
        child = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=output, stderr=output
        )
    jobs._collect(child, job.job_id, said)
    return jobs.get(job.job_id)


def test_a_killed_process_leaves_a_job_that_goes_on(tmp_path: Path) -> None:
    """Home said that nothing was found, as its process had ended with code -9."""
    found = left_by(Jobs(tmp_path), "import os; os.kill(os.getpid(), 9)")
    assert (found.state, found.error) == (INTERRUPTED, "its process was killed (SIGKILL)")
    assert not found.comes_again


def test_what_a_process_said_last_is_why_its_job_failed(tmp_path: Path) -> None:
    found = left_by(Jobs(tmp_path), "print('no such library'); raise SystemExit(3)")
    assert (found.state, found.error) == (FAILED, "its process ended with code 3: no such library")
    found = left_by(Jobs(tmp_path), "raise SystemExit(3)")
    assert found.error == "its process ended with code 3"


def test_a_workspace_that_takes_nothing_is_why_its_job_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk neither the job's file nor its log could say it: there was a code alone."""
    # Where torch, loaded here already, tells torch over there not to look for a folder.
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    code = (
        "import resource, runpy\n"
        # Nothing can be written, to the log neither.
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "runpy.run_module('analysis.shrinking', run_name='__main__')"
    )
    arguments = (ORDER.job_id, "--workspace", str(tmp_path))
    found = left_by(Jobs(tmp_path), code, *arguments)
    assert found.state == FAILED
    assert found.error == "the workspace cannot be written; its disk may be full"


@pytest.mark.parametrize("module", ["retraining", "shrinking", "worker"])
def test_a_process_takes_its_job_before_it_loads_what_computes(module: str) -> None:
    """That takes seconds in which nobody heard of it, and fails where no disk takes a file."""
    code = (
        f"import runpy, sys\nrunpy.run_module('analysis.{module}.__main__', run_name='read')\n"
        f"assert not {HEAVY} & set(sys.modules), {HEAVY} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()


def test_why_a_job_ended_is_known_while_the_disk_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Home said that the process stopped answering, while the disk was full."""

    def full(*_: object) -> None:
        raise StoreError("cannot write: No space left on device")

    jobs = Jobs(tmp_path)
    job = Job(order=ORDER, state=RUNNING, started=1.0, changed=time.time())
    jobs.save(job)
    child = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({UNWRITTEN})"])
    with monkeypatch.context() as patch:
        patch.setattr(Jobs, "save", full)
        jobs._collect(child, job.job_id, 0)
    found = Jobs(tmp_path).get(job.job_id)
    assert found.state == FAILED
    assert found.error == "the workspace cannot be written; its disk may be full"
    # Started again, it is another one.
    jobs.save(dataclasses.replace(job, started=2.0))
    assert jobs.get(job.job_id).state == RUNNING
