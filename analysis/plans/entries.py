"""Read a plan: entries, what they keep, what they reach."""

from __future__ import annotations

from analysis.records import Plan, PlanEntry
from pruners.errors import UnknownNameError
from pruners.granularity import parse


def achieved(entry: PlanEntry) -> float:
    """Return the fraction of the entry's units that is removed after rounding."""
    return (entry.total - entry.kept) / entry.total


def find(plan: Plan, name: str) -> PlanEntry:
    """Return the entry of a group id or layer name.

    Raises:
        UnknownNameError: The plan has no such entry.
    """
    for entry in plan.entries:
        if entry.name == name:
            return entry
    for entry in plan.entries:
        if entry.layer == name:
            return entry
    raise UnknownNameError("layer of the plan", name, [entry.layer for entry in plan.entries])


def pruned_entries(plan: Plan) -> tuple[PlanEntry, ...]:
    """Return the entries that remove something."""
    return tuple(entry for entry in plan.entries if entry.kept < entry.total)


def kept_counts(plan: Plan) -> dict[str, int]:
    """Return {group id: kept} of the entries whose units are physically removable."""
    return {
        entry.name: entry.kept
        for entry in pruned_entries(plan)
        if parse(entry.granularity).is_structured
    }


def least_kept(entry: PlanEntry) -> int:
    """Return how many units an entry keeps at least."""
    return 1 if parse(entry.granularity).keep_one else 0
