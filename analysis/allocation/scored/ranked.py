"""One threshold over the scores of all layers or groups: the ratios per layer follow."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from analysis.allocation.bisection import predictions, to_budgets
from analysis.allocation.strategy import BEST, Allocation, Request
from analysis.curves import is_known
from analysis.edits import PreparedSubject, Target, scores, targets
from analysis.plans import set_criterion
from analysis.records import Plan, PlanEntry, Recipe
from analysis.tasks import scoring_of
from pruners.criteria import CRITERIA
from pruners.errors import InputError, UnsupportedError
from pruners.granularity import Granularity, parse
from pruners.selection import global_masks, kept_indices, unit_scores

_GRID = 10_000


def fill_by_rank(request: Request) -> Allocation:
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
    if not request.budgets:
        assert request.ratio is not None
        return Allocation(plan=_fill(request, request.ratio), level=request.ratio)
    return to_budgets(request, levels=_levels(request), fill=_fill)


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
    predicted = predictions(request)
    costs: dict[str, tuple[float, ...]] = {}
    for criterion, found in options.items():
        prediction = predicted(found.plan)
        if _is_of_drops(request):
            params, macs = request.meter.sizes(found.plan)
            costs[criterion] = (not found.feasible, params, macs)
        else:
            drop = prediction.high if request.cautious else prediction.drop
            costs[criterion] = (not found.feasible, len(prediction.unmeasured), drop)
    return costs


def _is_of_drops(request: Request) -> bool:
    return bool(request.budgets) and all(budget.is_drop for budget in request.budgets)


def _cost_text(request: Request, cost: float) -> str:
    if _is_of_drops(request):
        return f"{cost:,.0f} MACs stay"
    return f"{scoring_of(request.plan.subject.task).words.cost(cost)} predicted drop"


def _fill(request: Request, ratio: float) -> Plan:
    if request.prepared is None:
        raise InputError("global ranking needs the scores of a loaded model; none is at hand")
    plan = global_plan(request.prepared, request.plan, ratio=ratio, normalizer=request.normalizer)
    return dataclasses.replace(request.finish(plan), strategy="global")


def _levels(request: Request) -> list[float]:
    """Return all ratios at which the plan changes, or steps of 1/10,000 if there are more."""
    total = sum(entry.total for entry in request.plan.entries if not entry.locked)
    steps = min(max(total, 1), _GRID)
    return [step / steps for step in range(steps + 1) if step / steps <= request.most]


def global_plan(
    prepared: PreparedSubject,
    plan: Plan,
    *,
    ratio: float,
    normalizer: str | None = None,
) -> Plan:
    """Return the plan with the units of all its unlocked entries ranked together.

    Exactly ``floor(ratio * total + 0.5)`` of the units of the unlocked entries go. All of these
    need one criterion and one granularity: scores of different criteria do not compare.

    Args:
        prepared: The subject.
        plan: Lists an entry for each target; locked entries stay as they are.
        ratio: Fraction removed of all units of the unlocked entries.
        normalizer: How layers are made comparable, one of
            `pruners.normalizers.NORMALIZERS`; None takes the criterion's own.

    Raises:
        InputError: Mixed criteria or granularities, nothing to rank, or N:M patterns.
        UnsupportedError: The criterion does not apply to a target; the message names it.
    """
    free = [entry for entry in plan.entries if not entry.locked]
    kinds = {(entry.criterion, entry.granularity) for entry in free}
    if len(kinds) != 1:
        found = ", ".join(sorted(f"{name} at {kind}" for name, kind in kinds)) or "no free entry"
        raise InputError(
            f"global ranking needs one criterion and one granularity for all entries, found {found}"
        )
    criterion, text = kinds.pop()
    granularity = parse(text)
    if granularity.kind == "n:m":
        raise InputError(f"{text} has one ratio everywhere, so there is nothing to rank globally")
    if granularity.is_whole and normalizer not in (None, "none"):
        raise InputError(
            f"each {text} has one score, so that normalizer {normalizer} would make all of them "
            "equal: leave it out"
        )
    normalizer = (
        "none" if granularity.is_whole else normalizer or CRITERIA.get(criterion).normalizer
    )
    # Without a normaliser the layers of a group must not be scaled one by one either.
    scaled = normalizer != "none"
    by_name = {target.name: target for target in targets(prepared, text)}
    pooled = {
        target.name: _unit_scores(prepared, target, criterion, plan.reduction, scaled=scaled)
        for target in (by_name[entry.name] for entry in free)
    }
    masks = global_masks(pooled, ratio, normalizer=normalizer, keep_one=granularity.keep_one)
    entries = tuple(
        entry if entry.locked else _filled(entry, masks[entry.name], granularity)
        for entry in plan.entries
    )
    recipe = dataclasses.replace(plan.recipe or Recipe(), ratio=ratio, normalizer=normalizer)
    return dataclasses.replace(plan, entries=entries, strategy="global", recipe=recipe)


def _unit_scores(
    prepared: PreparedSubject,
    target: Target,
    criterion: str,
    reduction: str,
    *,
    scaled: bool,
) -> Tensor:
    values = scores(prepared, target, criterion, reduction=reduction, scaled=scaled)
    return values if target.group is not None else unit_scores(parse(target.granularity), values)


def _filled(entry: PlanEntry, mask: Tensor, granularity: Granularity) -> PlanEntry:
    kept = int(mask.sum())
    indices = kept_indices(mask) if granularity.is_structured else None
    return dataclasses.replace(
        entry, ratio=(entry.total - kept) / entry.total, kept=kept, indices=indices
    )
