from .compiling import Way
from .convolutions import take_channels, used_columns
from .evaluator import Evaluator
from .execution import Values
from .kept import KeptBatch
from .precisions import PRECISIONS, Precision, ReducedEvaluator
from .program import Program
from .steps import Part
from .stopwatch import Span, wait_for

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
    "Way",
    "take_channels",
    "used_columns",
    "wait_for",
]
