from .adaptive import answers, max_tests
from .fingerprints import planned_points
from .grid import Grid, Item, coarse_to_fine, group_points, plan_sweep, require_data
from .measuring import PointMeasurer
from .ratios import MAX_RATIOS, parse_ratios
from .slices import Slices, sweep_slices
from .sweep import iter_sweep
from .timing import Pace, SweepEstimate, Work, estimate_cost

__all__ = [
    "Grid",
    "Item",
    "MAX_RATIOS",
    "Pace",
    "PointMeasurer",
    "Slices",
    "SweepEstimate",
    "Work",
    "answers",
    "coarse_to_fine",
    "estimate_cost",
    "group_points",
    "iter_sweep",
    "max_tests",
    "parse_ratios",
    "plan_sweep",
    "planned_points",
    "require_data",
    "sweep_slices",
]
