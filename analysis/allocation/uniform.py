"""One ratio for every layer."""

from __future__ import annotations

import dataclasses
import math

from analysis.allocation.bisection import to_budgets
from analysis.allocation.strategy import BEST, Allocation, Request
from analysis.plans import Curve, envelopes, set_criterion, set_ratio
from analysis.records import Plan, PlanEntry
from pruners.errors import InputError
from pruners.granularity import parse

_GRID = 10_000


def fill_uniformly(request: Request) -> Allocation:
    """Give every unlocked entry one ratio, as asked or the smallest that meets the budget.

    Raises:
        InputError: Entries go as a whole, so that one ratio would take all of them or none.
    """
    require_parts(request.plan, "strategy uniform")
    if not request.budgets:
        assert request.ratio is not None
        found = Allocation(plan=fill(request, request.ratio), level=request.ratio)
    else:
        found = to_budgets(request, levels=levels(request), fill=fill)
        found = _readable(found, request)
    plan = dataclasses.replace(found.plan, strategy="uniform")
    if request.criteria == BEST:
        plan = with_best_criteria(plan, request)
    return dataclasses.replace(found, plan=plan)


def require_parts(plan: Plan, what: str) -> None:
    """Refuse what gives ratios to entries that go as a whole.

    Raises:
        InputError: An unlocked entry is a branch or a layer; ``what`` cannot fill it.
    """
    for entry in plan.entries:
        if parse(entry.granularity).is_whole and not entry.locked:
            raise InputError(
                f"{what} chooses parts, but {entry.granularity} {entry.layer} is kept or gone: "
                "fill the plan by threshold, greedy, dp, global or search, to budgets in macs, "
                "params or bytes"
            )


def fill(request: Request, ratio: float) -> Plan:
    """Set all unlocked entries to a ratio."""
    plan = request.plan
    for entry in plan.entries:
        if not entry.locked:
            plan = set_ratio(plan, entry.name, ratio)
    return request.finish(plan)


def levels(request: Request) -> list[float]:
    """Return all ratios at which the plan changes, rising.

    An entry changes where ratio * total passes a half. Entries with more than 10,000 units are
    searched in steps of 1/10,000.
    """
    found = {0.0, request.most}
    for entry in request.plan.entries:
        if entry.locked:
            continue
        if entry.total > _GRID:
            found.update(step / _GRID for step in range(1, _GRID + 1))
            continue
        keep_one = parse(entry.granularity).keep_one
        # A hair above the half, where rounding of the product cannot fall below it.
        found.update(
            (removed - 0.5) / entry.total * (1 + 1e-12)
            for removed in range(1, entry.total + 1 - keep_one)
        )
    return sorted(ratio for ratio in found if ratio <= request.most)


def _readable(found: Allocation, request: Request) -> Allocation:
    """Round the chosen ratio up to four decimals where that gives the same kept counts."""
    assert found.level is not None
    short = min(math.ceil(found.level * _GRID) / _GRID, request.most)
    plan = fill(request, short)
    same = [entry.kept for entry in plan.entries] == [entry.kept for entry in found.plan.entries]
    return dataclasses.replace(found, plan=plan, level=short) if same else found


def with_best_criteria(plan: Plan, request: Request) -> Plan:
    """Give each unlocked entry the criterion with the smallest measured drop at its ratio."""
    if request.points is None or request.points.empty:
        return plan
    by_curve = envelopes(request.points)
    for entry in plan.entries:
        options = [
            (_drop(curve, entry), criterion)
            for (criterion, granularity, layer), curve in by_curve.items()
            if (granularity, layer) == (entry.granularity, entry.layer)
        ]
        # Ties keep the order of the sweep's criteria.
        if options and not entry.locked and entry.kept < entry.total:
            best = min(options, key=lambda option: option[0])
            plan = set_criterion(plan, entry.name, best[1])
    return plan


def _drop(curve: Curve, entry: PlanEntry) -> float:
    return curve.at((entry.total - entry.kept) / entry.total)[0]
