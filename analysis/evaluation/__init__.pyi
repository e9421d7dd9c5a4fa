from .evaluate import evaluate_plan
from .file_size import file_bytes
from .latency import MIN_PASSES, Latency, compare_latency
from .live import LiveEvaluator, LiveResult
from .repairing import RepairState
from .report import Evaluation, MeasuredModel
from .samples import Sample, first_samples
from .sanity import Doubt, find_doubts
from .session import LoadedSubject, Subjects

__all__ = [
    "Doubt",
    "Evaluation",
    "Latency",
    "LiveEvaluator",
    "LiveResult",
    "LoadedSubject",
    "MIN_PASSES",
    "MeasuredModel",
    "RepairState",
    "Sample",
    "Subjects",
    "compare_latency",
    "evaluate_plan",
    "file_bytes",
    "find_doubts",
    "first_samples",
]
