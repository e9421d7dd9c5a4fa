from .column_skipping import take_channels, used_columns
from .evaluator import Evaluator, KeptBatch
from .execution import Values
from .precisions import PRECISIONS, Precision
from .program import Program
from .reduced import ReducedEvaluator, reduction_named
from .steps import Part
from .stopwatch import Span

__all__ = [
    "Evaluator",
    "KeptBatch",
    "PRECISIONS",
    "Part",
    "Precision",
    "Program",
    "ReducedEvaluator",
    "Span",
    "Values",
    "reduction_named",
    "take_channels",
    "used_columns",
]
