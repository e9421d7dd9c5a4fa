from .data import SearchData, search_data, set_aside
from .frontier import FrontierPoint, FrontierUpdate, iter_frontier
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

__all__ = [
    "Aim",
    "CRITERIA",
    "FRONTIER_TRIALS",
    "FrontierPoint",
    "FrontierUpdate",
    "LEVELS",
    "SEARCHES",
    "SearchData",
    "SearchState",
    "SearchUpdate",
    "iter_frontier",
    "iter_search",
    "search_data",
    "set_aside",
]
