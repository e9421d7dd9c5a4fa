from .evaluate import evaluate_plan, file_bytes
from .latency import MIN_PASSES, Latency, compare_latency, percentile
from .live import LiveEvaluator, LiveResult
from .report import Evaluation, MeasuredModel

__all__ = [
    "Evaluation",
    "Latency",
    "LiveEvaluator",
    "LiveResult",
    "MIN_PASSES",
    "MeasuredModel",
    "compare_latency",
    "evaluate_plan",
    "file_bytes",
    "percentile",
]
