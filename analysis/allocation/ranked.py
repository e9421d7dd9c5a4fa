"""One threshold over the scores of all layers: the ratios per layer follow."""

from __future__ import annotations

import dataclasses

from analysis.allocation.bisection import to_budget
from analysis.allocation.registry import BEST, Allocation, Request, strategy
from analysis.curves import is_known
from analysis.plans import dense_accuracy, envelopes, predict_from, set_criterion
from analysis.records import Plan
from pruners.errors import InputError, UnsupportedError

_GRID = 10_000


@strategy(
    "global",
    label="Global ranking",
    help="The least important channels of all layers go, by one criterion; works without a sweep.",
    needs=frozenset({"ratio", "budget"}),
)
def ranked(request: Request) -> Allocation:
    """Rank the units of all unlocked entries together, at a ratio or down to a budget.

    Scores of different criteria do not compare, so the best criterion is one for all: the measured
    one whose plan is predicted to lose least, or to be smallest where the drop is the budget.
    """
    if request.criteria != BEST or request.points is None or request.points.empty:
        return _ranked(request)
    options = _options(request)
    if not options:
        return _ranked(request)
    costs = _costs(request, options)
    # Of equal ones the first in the order of the sweep's criteria.
    best = min(options, key=costs.__getitem__)
    if len(options) == 1 or not options[best].feasible:
        return options[best]
    reason = f"of {', '.join(options)}, {best} ranks best: {_cost_text(request, costs[best][-1])}"
    return dataclasses.replace(options[best], message=reason)


def _ranked(request: Request) -> Allocation:
    if request.budget is None:
        assert request.ratio is not None
        return Allocation(plan=_fill(request, request.ratio), level=request.ratio)
    return to_budget(request, request.budget, levels=_levels(request), fill=_fill)


def _options(request: Request) -> dict[str, Allocation]:
    """Return what each measured criterion gives that can score all entries."""
    assert request.points is not None
    granularities = {entry.granularity for entry in request.plan.entries if not entry.locked}
    measured = request.points[
        is_known(request.points) & request.points["granularity"].isin(granularities)
    ]
    found = {}
    for criterion in measured["criterion"].unique().tolist():
        plan = request.plan
        for entry in plan.entries:
            if not entry.locked:
                plan = set_criterion(plan, entry.name, criterion)
        try:
            found[criterion] = _ranked(dataclasses.replace(request, plan=plan))
        except UnsupportedError as error:
            reason = error
    if not found and len(measured):
        raise reason
    return found


def _costs(request: Request, options: dict[str, Allocation]) -> dict[str, tuple[float, ...]]:
    """Return by criterion what is to be small, the most important first."""
    assert request.points is not None
    by_curve, dense = envelopes(request.points), dense_accuracy(request.points)
    costs: dict[str, tuple[float, ...]] = {}
    for criterion, found in options.items():
        prediction = predict_from(found.plan, by_curve).within(dense)
        if request.budget is not None and request.budget.kind == "drop":
            params, macs = request.meter.sizes(found.plan)
            costs[criterion] = (not found.feasible, params, macs)
        else:
            drop = prediction.high if request.cautious else prediction.drop
            costs[criterion] = (not found.feasible, len(prediction.unmeasured), drop)
    return costs


def _cost_text(request: Request, cost: float) -> str:
    if request.budget is not None and request.budget.kind == "drop":
        return f"{cost:,.0f} MACs stay"
    return f"{cost * 100:.2f} pp predicted drop"


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
