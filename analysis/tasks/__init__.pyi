from .classification import CLASSIFICATION, Classification
from .quantities import IMPORTED_ACCURACY, IMPORTED_LOSS, IMPORTED_PSNR, ImportedScore
from .registry import QUANTITIES, TASKS, Quantity, TaskKind, scoring_of, task_named
from .right_answers import RIGHT_ANSWERS, RightAnswers
from .scoring import Metric, Scoring, Words
from .task import Task, is_finite

__all__ = [
    "CLASSIFICATION",
    "Classification",
    "IMPORTED_ACCURACY",
    "IMPORTED_LOSS",
    "IMPORTED_PSNR",
    "ImportedScore",
    "Metric",
    "QUANTITIES",
    "Quantity",
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
