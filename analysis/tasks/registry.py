"""The registry of tasks; names and help are known without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis import tasks
from pruners.registry import Registry

if TYPE_CHECKING:
    from analysis.tasks.scoring import Scoring
    from analysis.tasks.task import Task


@dataclass(frozen=True, slots=True)
class TaskKind:
    """A registered task.

    Attributes:
        name: As in subjects and on the command line.
        label: Name on pages.
        help: What an answer is, and what its score is.
        load: Returns the task.
        scoring: Returns what its sums mean without torch; the task itself by default.
    """

    name: str
    label: str
    help: str
    load: Callable[[], Task]
    scoring: Callable[[], Scoring] | None = None


TASKS = Registry(
    "task",
    (
        TaskKind(
            "classification",
            "Classification",
            "One of several classes a sample; the score is the share of right top-1 answers.",
            lambda: tasks.CLASSIFICATION,
            lambda: tasks.RIGHT_ANSWERS,
        ),
    ),
)


def task_named(name: str) -> Task:
    """Return a task.

    Raises:
        UnknownNameError: There is none of this name.
    """
    return TASKS.get(name).load()


def scoring_of(name: str) -> Scoring:
    """Return what the sums of a task mean.

    Raises:
        UnknownNameError: There is none of this name.
    """
    kind = TASKS.get(name)
    return kind.load() if kind.scoring is None else kind.scoring()
