"""One calibration pass: activations, gradients, moments."""

from pruners.statistics import unfolding
from pruners.statistics.calibration import (
    BRANCH_NEEDS,
    DEFAULT_MEMORY_LIMIT,
    NEEDS,
    Batch,
    Statistics,
    collect,
    layer_data,
)
from pruners.statistics.gates import input_gate_gradients
from pruners.statistics.gradients import in_blocks
from pruners.statistics.layer import LayerData
from pruners.statistics.loss import cross_entropy, drawn_labels
from pruners.statistics.sliding import slides, sliding_products
from pruners.statistics.unfolding import CHUNK_BYTES, column_length, columns

__all__ = [
    "BRANCH_NEEDS",
    "Batch",
    "CHUNK_BYTES",
    "DEFAULT_MEMORY_LIMIT",
    "LayerData",
    "NEEDS",
    "Statistics",
    "collect",
    "column_length",
    "columns",
    "cross_entropy",
    "drawn_labels",
    "in_blocks",
    "input_gate_gradients",
    "layer_data",
    "slides",
    "sliding_products",
    "unfolding",
]
