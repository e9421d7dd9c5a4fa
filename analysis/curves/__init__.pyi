from .best_criterion import envelope
from .metrics import DROP, cost_metric, costs, metric, metrics
from .points import check_format, columns, for_files, points_table, write_points
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
    "CURVE",
    "DROP",
    "NOT_PRUNABLE",
    "add_not_prunable",
    "add_ranks",
    "check_format",
    "columns",
    "cost_metric",
    "costs",
    "coverage",
    "criteria_of",
    "curve_arrays",
    "curves",
    "drop_at",
    "envelope",
    "first_crossing",
    "for_files",
    "from_zero",
    "in_curve_order",
    "is_known",
    "layer_order",
    "metric",
    "metrics",
    "points_table",
    "resolution",
    "sparklines",
    "tolerated",
    "write_points",
]
