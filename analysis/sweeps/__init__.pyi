from .adaptive import AdaptiveSweep, answers, max_tests
from .exhaustive import ExhaustiveSweep
from .fingerprints import planned_points
from .grid import Grid, Item, coarse_to_fine
from .mode import SweepMode
from .modes import MODES
from .options import OPTIONS, Option
from .planned import PlannedSweep, require_data
from .ratios import MAX_RATIOS, parse_ratios
from .request import spec_of_options, usual_calibration
from .sweep import iter_sweep, plan_sweep
from .timing import Pace, SweepEstimate, Work, estimate_cost

__all__ = [
    "AdaptiveSweep",
    "ExhaustiveSweep",
    "Grid",
    "Item",
    "MAX_RATIOS",
    "MODES",
    "OPTIONS",
    "Option",
    "Pace",
    "PlannedSweep",
    "SweepEstimate",
    "SweepMode",
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
    "spec_of_options",
    "usual_calibration",
]
