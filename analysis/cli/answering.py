"""Answers to goals from the command line: searched, and trained where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis import search, shrinking
from analysis.cli.options import open_store
from analysis.cli.output import duration, progress_bar, say
from analysis.cli.stopping import SAME, StoppedError
from analysis.cli.training import interruptible
from analysis.sentences import capital
from pruners.errors import CancelledError

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import Plan
    from analysis.retraining import RoundUpdate
    from analysis.search import Aim
    from analysis.shrinking import AnswerUpdate, Wish


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found.

    Attributes:
        plan: The plan.
        training: What its training took, as JSON has it; empty without one.
        is_stopped: Whether Ctrl-C ended it early.
    """

    plan: Plan
    training: dict[str, Any] = field(default_factory=dict)
    is_stopped: bool = False


def answered(
    prepared: PreparedSubject, start: Plan, aim: Aim, wish: Wish | None, *, workspace: Path | None
) -> Answer:
    """Look for the plan of a goal under a progress bar; Ctrl-C ends it with what was found.

    Args:
        prepared: The subject.
        start: Where searches start.
        aim: What is looked for.
        wish: How it is trained; None leaves it.
        workspace: The option; it keeps a trained plan.

    Raises:
        StoppedError: Ctrl-C before there was a plan.
        PruneScopeError: The goal cannot be met, or the training data cannot be used.
    """
    say(f"Searching on {search.search_data(prepared.subject).words}; they are not evaluated.")
    store, words = open_store(workspace), prepared.subject.task.words
    plan: Plan | None = None
    is_stopped = False
    training: RoundUpdate | None = None
    with _stoppable() as is_asked, progress_bar() as bar:
        task = bar.add_task("", total=None, eta="")
        for update in shrinking.iter_answer(
            prepared, start, aim, wish, workspace=store.workspace, cancel=is_asked
        ):
            text = update.stage if update.search is None else update.search.text(words)
            now = update.progress
            bar.update(
                task, description=text, completed=now.done, total=now.total, eta=_left(update)
            )
            training = update.training or training
            if update.news:
                say(update.news)
            plan = update.plan
            is_stopped = update.stopped
            if is_stopped:
                say("Stopped; what was found so far is measured.")
    assert plan is not None
    if wish is None or training is None or plan.training is None:
        return Answer(plan, is_stopped=is_stopped)
    about = {
        "id": plan.training,
        "trained": plan.trained,
        "preset": wish.preset,
        "epochs": training.epochs,
        "seconds": training.seconds,
        "plan_id": store.plans.save(plan, plan_id=f"p-{plan.training[-6:]}"),
    }
    return Answer(plan, {"training": about}, is_stopped)


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C ask to stop; where nothing was found until then, the command ends by it."""
    with interruptible() as is_asked:
        try:
            yield is_asked
        except CancelledError as error:
            if not is_asked():
                raise
            raise StoppedError(f"{capital(str(error))}. {SAME}") from None


def _left(update: AnswerUpdate) -> str:
    point = None if update.training is None else update.training.training
    return f"{duration(point.eta_seconds)} left" if point is not None and point.steps else ""
