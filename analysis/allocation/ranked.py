"""One threshold over the scores of all layers or groups: the ratios per layer follow."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from analysis.allocation.bisection import to_budget
from analysis.allocation.strategy import Allocation, Request
from analysis.edits import PreparedSubject, Target, scores, targets
from analysis.records import Plan, PlanEntry
from pruners.criteria import CRITERIA
from pruners.errors import InputError
from pruners.granularity import Granularity, parse
from pruners.selection import global_masks, unit_scores

_GRID = 10_000


def fill_by_rank(request: Request) -> Allocation:
    """Rank the units of all unlocked entries together, at a ratio or down to a budget."""
    if request.budget is None:
        assert request.ratio is not None
        return Allocation(plan=_fill(request, request.ratio), level=request.ratio)
    return to_budget(request, request.budget, levels=_levels(request), fill=_fill)


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
    if granularity.fixed_ratio is not None:
        raise InputError(f"{text} has one ratio everywhere, so there is nothing to rank globally")
    normalizer = normalizer or CRITERIA.get(criterion).normalizer
    # Without a normaliser the layers of a group must not be scaled one by one either.
    scaled = normalizer != "none"
    by_name = {target.name: target for target in targets(prepared, text)}
    pooled = {
        target.name: _unit_scores(prepared, target, criterion, plan.reduction, scaled=scaled)
        for target in map(by_name.__getitem__, map(_name, free))
    }
    masks = global_masks(pooled, ratio, normalizer=normalizer, keep_one=granularity.keep_one)
    entries = tuple(
        entry if entry.locked else _filled(entry, masks[_name(entry)], granularity)
        for entry in plan.entries
    )
    return dataclasses.replace(plan, entries=entries, strategy=f"global ({normalizer})")


def _name(entry: PlanEntry) -> str:
    return entry.layer if entry.group is None else entry.group


def _unit_scores(
    prepared: PreparedSubject,
    target: Target,
    criterion: str,
    reduction: str,
    *,
    scaled: bool,
) -> Tensor:
    if target.group is not None:
        group = prepared.group(target.group)
        return prepared.channel_scores(group, criterion, reduction=reduction, scaled=scaled)
    granularity = parse(target.granularity)
    return unit_scores(granularity, scores(prepared, target, criterion))


def _filled(entry: PlanEntry, mask: Tensor, granularity: Granularity) -> PlanEntry:
    kept = int(mask.sum())
    indices = None
    if granularity.is_structured:
        indices = tuple(int(unit) for unit in torch.nonzero(mask).flatten().tolist())
    return dataclasses.replace(
        entry, ratio=(entry.total - kept) / entry.total, kept=kept, indices=indices
    )
