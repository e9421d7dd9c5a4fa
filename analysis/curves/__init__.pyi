from .best_criterion import envelope
from .blocks import MAX_ROWS, blocks_of, fold_points, fold_tolerated
from .groups import GroupSize, group_sizes, not_prunable, plan_sizes
from .metrics import DROP, cost_metric, costs, metric, metrics
from .network import network_edges, network_nodes, nodes_of
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
from .summary import TOLERANCES, coverage, resolution, sparkline_reach, sparklines
from .tolerance import (
    NOT_PRUNABLE,
    add_not_prunable,
    add_ranks,
    by_rank,
    drop_at,
    first_crossing,
    tolerated,
)

__all__ = [
    "CURVE",
    "DROP",
    "GroupSize",
    "MAX_ROWS",
    "NOT_PRUNABLE",
    "TOLERANCES",
    "add_not_prunable",
    "add_ranks",
    "blocks_of",
    "by_rank",
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
    "fold_points",
    "fold_tolerated",
    "for_files",
    "from_zero",
    "group_sizes",
    "in_curve_order",
    "is_known",
    "layer_order",
    "metric",
    "metrics",
    "network_edges",
    "network_nodes",
    "nodes_of",
    "not_prunable",
    "plan_sizes",
    "points_table",
    "resolution",
    "sparkline_reach",
    "sparklines",
    "tolerated",
    "write_points",
]
