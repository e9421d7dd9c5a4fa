from .classification import CLASSIFICATION, Classification
from .registry import TASKS, TaskKind, task_named
from .task import Task, is_finite

__all__ = [
    "CLASSIFICATION",
    "Classification",
    "TASKS",
    "Task",
    "TaskKind",
    "is_finite",
    "task_named",
]
