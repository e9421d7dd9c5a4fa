"""What an answer is: check outputs, score a batch, add up, which interval. One file a task."""

from analysis.tasks import classification  # noqa: F401  (importing registers it)
from analysis.tasks.classification import CLASSIFICATION, Classification
from analysis.tasks.task import TASKS, Task, get, is_finite, names, register

__all__ = [
    "CLASSIFICATION",
    "Classification",
    "TASKS",
    "Task",
    "get",
    "is_finite",
    "names",
    "register",
]
