from .data import SearchData, search_data, set_aside
from .records import CRITERIA, SEARCHES, Aim, SearchState, SearchUpdate
from .search import iter_search

__all__ = [
    "Aim",
    "CRITERIA",
    "SEARCHES",
    "SearchData",
    "SearchState",
    "SearchUpdate",
    "iter_search",
    "search_data",
    "set_aside",
]
