from .data import SearchData, search_data, set_aside
from .frontier import FrontierPoint, FrontierUpdate, iter_frontier
from .goal import Timing, limits_time, timing_of
from .records import (
    CRITERIA,
    FRONTIER_TRIALS,
    LEVELS,
    SEARCHES,
    Aim,
    SearchState,
    SearchUpdate,
)
from .search import iter_search
from .verdict import Measured, TrainedJudge, Verdict, fill_measured

__all__ = [
    "Aim",
    "CRITERIA",
    "FRONTIER_TRIALS",
    "FrontierPoint",
    "FrontierUpdate",
    "LEVELS",
    "Measured",
    "SEARCHES",
    "SearchData",
    "SearchState",
    "SearchUpdate",
    "Timing",
    "TrainedJudge",
    "Verdict",
    "fill_measured",
    "iter_frontier",
    "iter_search",
    "limits_time",
    "search_data",
    "set_aside",
    "timing_of",
]
