"""Fill a plan by one threshold over all layers or groups: the ratios follow from the scores."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from analysis.edits import PreparedSubject, Target, scores, targets
from analysis.records import Plan, PlanEntry, Recipe
from pruners.criteria import registry
from pruners.errors import InputError
from pruners.selection import global_masks, kept_indices
from pruners.selection import granularity as granularities


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
        normalizer: How layers are made comparable, one of `pruners.selection.NORMALIZERS`; None
            takes the criterion's own.

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
    granularity = granularities.parse(text)
    if granularity.fixed_ratio is not None:
        raise InputError(f"{text} has one ratio everywhere, so there is nothing to rank globally")
    normalizer = normalizer or registry.get(criterion).normalizer
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
    if target.group is not None:
        return values
    return granularities.unit_scores(granularities.parse(target.granularity), values)


def _filled(entry: PlanEntry, mask: Tensor, granularity: granularities.Granularity) -> PlanEntry:
    kept = int(mask.sum())
    indices = kept_indices(mask) if granularity.is_structured else None
    return dataclasses.replace(
        entry, ratio=(entry.total - kept) / entry.total, kept=kept, indices=indices
    )
