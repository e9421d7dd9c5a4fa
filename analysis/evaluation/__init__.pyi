from .answers import CHANGED, GAINED, LOST, Answers, Flip
from .evaluate import evaluate_plan
from .live import LiveEvaluator, LiveResult
from .repairing import RepairState
from .report import Evaluation, MeasuredModel
from .samples import Sample, first_samples
from .sanity import Doubt, find_doubts
from .session import LoadedSubject, Subjects

__all__ = [
    "Answers",
    "CHANGED",
    "Doubt",
    "Evaluation",
    "Flip",
    "GAINED",
    "LOST",
    "LiveEvaluator",
    "LiveResult",
    "LoadedSubject",
    "MeasuredModel",
    "RepairState",
    "Sample",
    "Subjects",
    "evaluate_plan",
    "find_doubts",
    "first_samples",
]
