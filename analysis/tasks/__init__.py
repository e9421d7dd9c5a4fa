"""What an answer is: check outputs, score a batch, add up, which interval. One file a task."""

from analysis.tasks.classification import CLASSIFICATION, Classification
from analysis.tasks.task import TASKS, Task, is_finite

__all__ = [
    "CLASSIFICATION",
    "Classification",
    "TASKS",
    "Task",
    "is_finite",
]
