from .best_criterion import envelope
from .metrics import METRICS, Metric, metric
from .points import COLUMNS, check_format, points_table, write_points
from .reading import (
    CURVE,
    criteria_of,
    curve_arrays,
    curves,
    from_zero,
    in_curve_order,
    is_known,
    layer_order,
)
from .summary import coverage, resolution, sparklines
from .tolerance import NOT_PRUNABLE, add_not_prunable, add_ranks, drop_at, first_crossing, tolerated

__all__ = [
    "COLUMNS",
    "CURVE",
    "METRICS",
    "Metric",
    "NOT_PRUNABLE",
    "add_not_prunable",
    "add_ranks",
    "check_format",
    "coverage",
    "criteria_of",
    "curve_arrays",
    "curves",
    "drop_at",
    "envelope",
    "first_crossing",
    "from_zero",
    "in_curve_order",
    "is_known",
    "layer_order",
    "metric",
    "points_table",
    "resolution",
    "sparklines",
    "tolerated",
    "write_points",
]
