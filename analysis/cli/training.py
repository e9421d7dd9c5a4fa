"""Trainings from the command line: what `recover` and `shrink` share."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from analysis import jobs, retraining
from analysis.cli.options import open_store, workspace_path
from analysis.cli.output import duration, progress_bar, say
from analysis.cli.stopping import StoppedError
from analysis.records import DONE
from analysis.recovery import training
from analysis.retraining import Job, Order
from analysis.sentences import capital, plural
from pruners.errors import CancelledError, InputError, UnknownNameError

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import SubjectSpec
    from analysis.recovery.training import Meeting
    from analysis.tasks import Words


def trained(
    order: Order,
    opener: Callable[[SubjectSpec], PreparedSubject],
    *,
    words: Words,
    workspace: Path | None,
    go_on: str,
    meeting: Meeting | None = None,
) -> Job:
    """Train in this process, and tell how it goes; the workspace has it as a job.

    Args:
        order: What is trained.
        opener: Loads the subject.
        words: Of the task.
        workspace: The option.
        go_on: The command that goes on with it.
        meeting: Other machines that share each batch; None for this one alone.

    Raises:
        StoppedError: Ctrl-C; what was trained is kept.
        CancelledError: Somebody else stopped it; as well.
        InputError: Another process trains the same.
    """
    store = open_store(workspace)
    known = retraining.Jobs(store.workspace)
    with suppress(UnknownNameError):
        if known.get(order.job_id).is_live:
            raise InputError(
                f"training {order.job_id} is worked on by another process; wait for it, or stop it"
            )
    show = _Lines(words)
    steps = partial(retraining.iter_job, meeting=meeting)
    with interruptible() as is_asked, progress_bar() as bar:
        task = bar.add_task("", total=None, eta="")
        given = jobs.Work(opener, store, lambda: is_asked() or known.is_stopped(order.job_id))
        # Here, for one that Ctrl-C ends before it is worked on would look as if it came up.
        job = begun = known.begin(order)
        try:
            for job in jobs.followed(known, begun, steps, given):
                eta = "" if job.eta_seconds is None else f"{duration(job.eta_seconds)} left"
                now = job.progress
                bar.update(
                    task, description=job.stage, completed=now.done, total=now.total, eta=eta
                )
                show.tell(job)
        except CancelledError as error:
            text = f"{error}; go on with: {go_on}"
            if not is_asked():
                raise CancelledError(text) from None
            raise StoppedError(capital(text), go_on=go_on) from None
    return job


def interrupted(order: Order, workspace: Path | None, go_on: str) -> StoppedError:
    """Return what a training leaves that Ctrl-C ended at once, wherever it was.

    Args:
        order: What is trained.
        workspace: The option.
        go_on: The command that goes on with it, once it has begun.
    """
    known = retraining.Jobs(workspace_path(workspace))
    try:
        known.get(order.job_id)
    except UnknownNameError:
        return StoppedError("Stopped before the training began. The same command begins anew.")
    has_some = known.has_checkpoint(order.job_id)
    kept = "the checkpoint is kept" if has_some else "there is no checkpoint yet"
    return StoppedError(f"Stopped; {kept}. Go on: {go_on}", go_on=go_on)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C ask to stop after the step at hand; a second one ends at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        asked.set()

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def machines_at(folder: Path | None, count: int) -> Iterator[Meeting | None]:
    """Wait for other machines in a folder, and lead them within the block; None without one.

    Raises:
        StoppedError: Ctrl-C while others are waited for.
    """
    if folder is None:
        yield None
        return
    say(
        f"Waiting for {plural(count - 1, 'machine')}; on each of them: "
        f"prunescope join {shlex.quote(str(folder))} --device NAMES"
    )
    with ExitStack() as stack:
        try:
            meeting = stack.enter_context(training.opened_meeting(folder, count))
        except KeyboardInterrupt:
            raise StoppedError(
                "Stopped before all machines had joined. The same command begins anew, once "
                f"{folder} is empty."
            ) from None
        for item in meeting.machines:
            say(f"{item.host} has joined with {', '.join(item.devices)}.")
        yield meeting


def order_of(name: str, workspace: Path | None) -> Order:
    """Return the order of a training that was started before.

    Args:
        name: Its id, or ``last``.
        workspace: The option.

    Raises:
        InputError: There is none.
    """
    known = retraining.Jobs(open_store(workspace).workspace)
    if name != "last":
        return known.get(name).order
    found = known.all()
    if not found:
        raise InputError("--resume last: nothing was trained in this workspace")
    return found[0].order


def result_of(job: Job) -> dict[str, Any]:
    """Return what a training came to, as JSON has it."""
    assert job.evaluation is not None
    return {
        "schema_version": 1,
        "state": DONE,
        "dense_accuracy": job.dense,
        "pruned_accuracy": job.pruned,
        "repaired_accuracy": job.repaired,
        "accuracy": job.accuracy,
        "drop": job.drop,
        "drop_low": job.drop_low,
        "drop_high": job.drop_high,
        "samples": job.evaluation["samples"],
        "epochs": job.results[0].epochs,
        "seconds": sum(item.seconds for item in job.results),
        "seeds": [item.to_dict() for item in job.results],
        "plan_id": job.plan_ids[0],
        "job": job.job_id,
    }


class _Lines:
    """Tells a training line by line: its cost before the start, then whenever it was looked at.

    Args:
        words: Of the task.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self._costed = False
        self._seen: tuple[int, int, int] | None = None

    def tell(self, job: Job) -> None:
        """Print what is new."""
        point = job.point
        if point is None or not point.steps or job.results[len(job.order.seeds) :]:
            return
        if not self._costed:
            self._costed = True
            many = len(job.order.seeds) * job.order.rounds
            for note in job.notes:
                say(note)
            times = "" if many == 1 else f", {many} times"
            say(
                f"{job.order.recipe.method}: {plural(point.steps, 'step')}{times}; about "
                f"{duration(job.eta_seconds)} to go."
            )
        place = (job.seed, job.round, point.step)
        if point.selection is None or place == self._seen:
            return
        self._seen = place
        parts = [f"step {point.step:,} of {point.steps:,}", f"epoch {point.epoch:.2f}"]
        if point.loss is not None:
            parts.append(f"loss {point.loss:.4f}")
        parts.append(f"selection {self._words.score(point.selection.score)}")
        parts.append(f"rate {point.rate:.2g}")
        parts.append(f"{duration(job.eta_seconds)} left")
        say(f"{job.stage}: {', '.join(parts)}")


def say_result(job: Job, words: Words) -> None:
    """Say where the start was better, and what a training of several seeds came to."""
    if retraining.STARTED_BETTER in job.notes:
        say(retraining.STARTED_BETTER)
    if len(job.results) < 2 or job.drop is None:
        return
    low, high = job.drop_low or 0.0, job.drop_high or 0.0
    say(
        f"Mean over {len(job.results)} seeds: {words.label} {words.score(job.accuracy or 0.0)}, "
        f"{words.drop_noun} {words.cost(job.drop)} ({words.drop(low)} to {words.drop(high)}); "
        "the plan is that of the first seed."
    )
