"""The registry of tasks; names and help are known without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis import tasks
from pruners.registry import Registry

if TYPE_CHECKING:
    from analysis.tasks.task import Task


@dataclass(frozen=True, slots=True)
class TaskKind:
    """A registered task.

    Attributes:
        name: As in subjects and on the command line.
        label: Name on pages.
        help: What an answer is, and what its score is.
        load: Returns the task.
    """

    name: str
    label: str
    help: str
    load: Callable[[], Task]


TASKS = Registry(
    "task",
    (
        TaskKind(
            "classification",
            "Classification",
            "One of several classes a sample; the score is the share of right top-1 answers.",
            lambda: tasks.CLASSIFICATION,
        ),
    ),
)


def task_named(name: str) -> Task:
    """Return a task.

    Raises:
        UnknownNameError: There is none of this name.
    """
    return TASKS.get(name).load()
