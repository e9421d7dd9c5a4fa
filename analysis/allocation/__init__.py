"""Strategies that fill a plan. See `analysis.allocation.registry`."""

from analysis.allocation import ranked, threshold, uniform  # noqa: F401  (importing registers them)
from analysis.allocation.budget import KINDS, Budget, Meter, parse_budget
from analysis.allocation.registry import (
    BEST,
    FIXED,
    Allocation,
    Request,
    Strategy,
    allocate,
    get,
    names,
)

__all__ = [
    "BEST",
    "FIXED",
    "KINDS",
    "Allocation",
    "Budget",
    "Meter",
    "Request",
    "Strategy",
    "allocate",
    "get",
    "names",
    "parse_budget",
]
