from .reduced import Gaps, ReducedEvaluator, Reduction, reduction_named, runs_in
from .registry import PRECISIONS, Precision

__all__ = [
    "Gaps",
    "PRECISIONS",
    "Precision",
    "ReducedEvaluator",
    "Reduction",
    "reduction_named",
    "runs_in",
]
