from .evaluate import evaluate_plan, file_bytes
from .latency import LEAST, Latency, compare_latency, percentile
from .live import LiveEvaluator, LiveResult
from .report import Evaluation, Variant

__all__ = [
    "Evaluation",
    "LEAST",
    "Latency",
    "LiveEvaluator",
    "LiveResult",
    "Variant",
    "compare_latency",
    "evaluate_plan",
    "file_bytes",
    "percentile",
]
