"""One threshold over the scores of all layers: the ratios per layer follow."""

from __future__ import annotations

import dataclasses

from analysis.allocation.bisection import to_budget
from analysis.allocation.registry import Allocation, Request, strategy
from analysis.records import Plan
from pruners.errors import InputError

_GRID = 10_000


@strategy(
    "global",
    label="Global ranking",
    help="The least important channels of all layers go, by one criterion; works without a sweep.",
    needs=frozenset({"ratio", "budget"}),
)
def ranked(request: Request) -> Allocation:
    """Rank the units of all unlocked entries together, at a ratio or down to a budget."""
    if request.budget is None:
        assert request.ratio is not None
        return Allocation(plan=_fill(request, request.ratio), level=request.ratio)
    return to_budget(request, request.budget, levels=_levels(request), fill=_fill)


def _fill(request: Request, ratio: float) -> Plan:
    if request.rank is None:
        raise InputError("global ranking needs the scores of a loaded model; none is at hand")
    plan = request.finish(request.rank(request.plan, ratio))
    return dataclasses.replace(plan, strategy="global")


def _levels(request: Request) -> list[float]:
    """Return all ratios at which the plan changes, or steps of 1/10,000 if there are more."""
    total = sum(entry.total for entry in request.plan.entries if not entry.locked)
    steps = min(max(total, 1), _GRID)
    return [step / steps for step in range(steps + 1) if step / steps <= request.most]
