from .adaptive import answers, max_tests
from .fingerprints import planned_points
from .grid import Grid, Item, coarse_to_fine
from .planned import PlannedSweep, plan_sweep, require_data
from .ratios import MAX_RATIOS, parse_ratios
from .sweep import iter_sweep
from .timing import Pace, SweepEstimate, Work, estimate_cost

__all__ = [
    "Grid",
    "Item",
    "MAX_RATIOS",
    "Pace",
    "PlannedSweep",
    "SweepEstimate",
    "Work",
    "answers",
    "coarse_to_fine",
    "estimate_cost",
    "iter_sweep",
    "max_tests",
    "parse_ratios",
    "plan_sweep",
    "planned_points",
    "require_data",
]
