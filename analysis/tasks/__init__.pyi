from .classification import CLASSIFICATION, Classification
from .registry import TASKS, TaskKind, scoring_of, task_named
from .right_answers import RIGHT_ANSWERS, RightAnswers
from .scoring import Metric, Scoring, Words
from .task import Task, is_finite

__all__ = [
    "CLASSIFICATION",
    "Classification",
    "Metric",
    "RIGHT_ANSWERS",
    "RightAnswers",
    "Scoring",
    "TASKS",
    "Task",
    "TaskKind",
    "Words",
    "is_finite",
    "scoring_of",
    "task_named",
]
