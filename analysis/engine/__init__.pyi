from .bf16 import PRECISION_HELP, PRECISIONS, ReducedEvaluator, check_precision
from .column_skipping import take_channels, used_columns
from .evaluator import Evaluator, KeptBatch
from .program import Program, Values
from .steps import Part

__all__ = [
    "Evaluator",
    "KeptBatch",
    "PRECISIONS",
    "PRECISION_HELP",
    "Part",
    "Program",
    "ReducedEvaluator",
    "Values",
    "check_precision",
    "take_channels",
    "used_columns",
]
