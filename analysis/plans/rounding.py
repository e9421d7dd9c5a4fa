"""Round the channels that a plan keeps to multiples that hardware likes."""

from __future__ import annotations

import dataclasses
import math

from analysis.records import Plan, PlanEntry, Recipe
from pruners.errors import InputError, UnsupportedError
from pruners.groups import Group, Structure

# What hardware likes: vectors of 4 and 8, tiles of 16 and 32.
USUAL = (1, 4, 8, 16, 32)


def rounded(plan: Plan, structure: Structure | None, *, multiple: int) -> Plan:
    """Return the plan with kept channel counts rounded up to a multiple.

    As in AIMET, counts are rounded up, so that rounding never costs accuracy. The requested
    ratios stay in the plan; the achieved ones follow from the counts. Locked entries, heads,
    entries without groups and groups that are dense stay as they are.

    Args:
        plan: The plan.
        structure: Structure of its model; where a unit is several channels (grouped
            convolutions), the channels are what is rounded. None without a graph.
        multiple: Such as 8; at least 1, which changes nothing.

    Raises:
        InputError: The multiple is less than 1.
        UnsupportedError: The plan is not of channels, but of heads or single weights.
    """
    if multiple < 1:
        raise InputError(f"kept channels are rounded to a multiple of at least 1, found {multiple}")
    if multiple == 1 or not plan.entries:
        return plan
    kinds = sorted({entry.granularity for entry in plan.entries})
    if structure is None or "channel" not in kinds:
        raise UnsupportedError(
            f"kept channels can be rounded, but this plan has granularity {' and '.join(kinds)}"
        )
    entries = tuple(
        _rounded_entry(entry, structure, multiple)
        if entry.granularity == "channel" and not entry.locked and entry.kept < entry.total
        else entry
        for entry in plan.entries
    )
    recipe = dataclasses.replace(plan.recipe or Recipe(), round_to=multiple)
    return dataclasses.replace(plan, entries=entries, recipe=recipe)


def _rounded_entry(entry: PlanEntry, structure: Structure, multiple: int) -> PlanEntry:
    group = structure.group(entry.name)
    if group.kind != "channel":
        return entry
    step = multiple // math.gcd(multiple, channels_per_unit(group))
    kept = min(-(-entry.kept // step) * step, entry.total)
    if kept == entry.kept:
        return entry
    return dataclasses.replace(entry, kept=kept, indices=None)


def channels_per_unit(group: Group) -> int:
    """Return how many channels of the group's first layer one unit is."""
    return int((group.producers[0].index >= 0).sum()) // group.units
