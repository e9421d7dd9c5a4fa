from .evaluate import evaluate_plan
from .file_size import file_bytes
from .latency import MIN_PASSES, Latency, compare_latency
from .live import LiveEvaluator, LiveResult
from .report import Evaluation, MeasuredModel
from .session import LoadedSubject, Subjects

__all__ = [
    "Evaluation",
    "Latency",
    "LiveEvaluator",
    "LiveResult",
    "LoadedSubject",
    "MIN_PASSES",
    "MeasuredModel",
    "Subjects",
    "compare_latency",
    "evaluate_plan",
    "file_bytes",
]
