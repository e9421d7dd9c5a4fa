"""Strategies that fill a plan. See `analysis.allocation.registry`."""

from analysis.allocation import ranked, threshold, uniform  # noqa: F401  (importing registers them)
from analysis.allocation.budget import KINDS, Budget, parse_budget
from analysis.allocation.filling import fill_plan
from analysis.allocation.global_ranking import global_plan
from analysis.allocation.registry import (
    BEST,
    FIXED,
    Allocation,
    Request,
    Strategy,
    allocate,
    get,
    names,
    strategy,
)

__all__ = [
    "Allocation",
    "BEST",
    "Budget",
    "FIXED",
    "KINDS",
    "Request",
    "Strategy",
    "allocate",
    "fill_plan",
    "get",
    "global_plan",
    "names",
    "parse_budget",
    "strategy",
]
