"""Plans: pruning configurations, edited by pure functions from plan to plan.

A plan that is being edited lists an entry for every prunable group or layer, at ratio 0 where
nothing is removed yet, so that every edit knows its totals. Edits clear the kept indices of the
entries they change; `analysis.plans.apply.resolve` fills them in from the criteria's scores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from analysis.plans.entries import find, least_kept
from analysis.records import Plan, PlanEntry, SubjectSpec
from pruners.errors import InputError, PlanError
from pruners.granularity import parse
from pruners.selection import num_kept


def new_plan(
    subject: SubjectSpec,
    *,
    fingerprint: str,
    units: Iterable[tuple[str, str | None, int]],
    criterion: str,
    granularity: str = "channel",
    run: str | None = None,
    semantics: str = "removal",
    reduction: str = "mean",
) -> Plan:
    """Return a plan that removes nothing yet.

    Args:
        subject: What it is for.
        fingerprint: Content fingerprint of the model's weights.
        units: (layer, group id or None, number of units) of each prunable target.
        criterion: Criterion of each entry.
        granularity: What one removal takes away.
        run: The run whose points it will be chosen from.
        semantics: ``removal`` or ``weights``.
        reduction: How member layers' scores join in a coupled group.
    """
    entries = tuple(
        PlanEntry(
            layer=layer,
            group=group,
            criterion=criterion,
            granularity=granularity,
            ratio=0.0,
            kept=total,
            total=total,
        )
        for layer, group, total in units
    )
    return Plan(
        subject=subject,
        fingerprint=fingerprint,
        entries=entries,
        run=run,
        semantics=semantics,
        reduction=reduction,
    )


def set_ratio(plan: Plan, name: str, ratio: float) -> Plan:
    """Ask for a ratio at one entry, locked or not.

    N:M patterns have one ratio: anything above 0 asks for it.

    Raises:
        InputError: The ratio is not between 0 and 1.
        UnknownNameError: The plan has no such entry.
    """
    entry = find(plan, name)
    return _replace(plan, entry, _at_ratio(entry, ratio))


def set_kept(plan: Plan, name: str, kept: int) -> Plan:
    """Ask for a number of kept units at one entry.

    Raises:
        InputError: The number is out of range.
    """
    entry = find(plan, name)
    least = least_kept(entry)
    if not least <= kept <= entry.total:
        raise InputError(
            f"{entry.layer}: {kept} kept asked for, possible are {least} to {entry.total}"
        )
    ratio = (entry.total - kept) / entry.total
    return _replace(plan, entry, _changed(entry, ratio=ratio, kept=kept))


def set_criterion(plan: Plan, name: str, criterion: str) -> Plan:
    """Choose the criterion of one entry."""
    entry = find(plan, name)
    return _replace(plan, entry, _changed(entry, criterion=criterion))


def lock(plan: Plan, name: str, *, locked: bool = True) -> Plan:
    """Lock or unlock an entry: auto-fill and bulk edits leave locked entries alone."""
    entry = find(plan, name)
    return _replace(plan, entry, dataclasses.replace(entry, locked=locked))


def scale(plan: Plan, factor: float, *, most: float = 1.0) -> Plan:
    """Multiply the ratio of every unlocked entry, up to ``most``.

    Raises:
        InputError: The factor is negative.
    """
    if not factor >= 0:
        raise InputError(f"ratios are scaled by a factor of at least 0, found {factor}")
    for entry in plan.entries:
        if not entry.locked:
            plan = set_ratio(plan, entry.name, min(entry.ratio * factor, most))
    return plan


def clear(plan: Plan) -> Plan:
    """Make every unlocked entry dense."""
    return scale(plan, 0.0)


def _at_ratio(entry: PlanEntry, ratio: float) -> PlanEntry:
    granularity = parse(entry.granularity)
    kept = num_kept(ratio, entry.total, keep_one=granularity.keep_one)
    if granularity.fixed_ratio is not None and ratio > 0:
        ratio = granularity.fixed_ratio
        kept = num_kept(ratio, entry.total, keep_one=False)
    return _changed(entry, ratio=float(ratio), kept=kept)


def _changed(entry: PlanEntry, **changes: Any) -> PlanEntry:
    """Apply changes; kept indices survive only where criterion and count stay the same."""
    after = dataclasses.replace(entry, **changes)
    same = (after.criterion, after.kept) == (entry.criterion, entry.kept)
    return after if same else dataclasses.replace(after, indices=None)


def _replace(plan: Plan, old: PlanEntry, new: PlanEntry) -> Plan:
    if old == new:
        return plan
    entries = tuple(new if entry is old else entry for entry in plan.entries)
    return dataclasses.replace(plan, entries=entries)


def from_requests(
    plan: Plan, ratios: Mapping[str, float], *, group_of: Callable[[str], str | None]
) -> Plan:
    """Ask for ratios by layer name, also of layers that are not a group's first.

    Args:
        plan: The plan to start from.
        ratios: Ratio by layer name or group id.
        group_of: Group id of a layer; None where it has none.

    Raises:
        PlanError: Two layers of one group are asked for different ratios, or a layer has no entry.
    """
    asked: dict[str, tuple[str, float]] = {}
    known = {entry.name for entry in plan.entries}
    for layer, ratio in ratios.items():
        key = layer if layer in known else group_of(layer)
        if key is None or key not in known:
            raise PlanError(
                f"{layer}: a ratio of {ratio:g} is asked for, but the plan has nothing to prune "
                "there"
            )
        other, before = asked.setdefault(key, (layer, ratio))
        if before != ratio:
            raise PlanError(
                f"{other} (ratio {before:g}) and {layer} (ratio {ratio:g}) belong to one group, "
                f"{key}: their channels are removed together, so ask for one ratio"
            )
        plan = set_ratio(plan, key, ratio)
    return plan


def compact(plan: Plan) -> Plan:
    """Return the plan without entries that remove nothing and hold no lock."""
    entries = tuple(item for item in plan.entries if item.kept < item.total or item.locked)
    return dataclasses.replace(plan, entries=entries)


def expand(plan: Plan, base: Plan) -> Plan:
    """Return ``plan`` with the dense entries of ``base`` for what it does not list."""
    own = {entry.name: entry for entry in plan.entries}
    known = {entry.name for entry in base.entries}
    entries = [own.get(entry.name, entry) for entry in base.entries]
    extra = [entry for key, entry in own.items() if key not in known]
    return dataclasses.replace(plan, entries=(*entries, *extra))
