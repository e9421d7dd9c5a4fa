from .bf16 import ReducedEvaluator
from .column_skipping import take_channels, used_columns
from .evaluator import Evaluator, KeptBatch
from .precisions import PRECISIONS, Precision
from .program import Program, Values
from .steps import Part

__all__ = [
    "Evaluator",
    "KeptBatch",
    "PRECISIONS",
    "Part",
    "Precision",
    "Program",
    "ReducedEvaluator",
    "Values",
    "take_channels",
    "used_columns",
]
