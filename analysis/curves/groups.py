"""What stands behind a curve: the layers of its group, and what the group takes of the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from analysis.records import Inventory, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSize:
    """A curve's group, or its layer where the granularity has no groups.

    Attributes:
        layers: All layers that lose channels together; the first one names the curve.
        params: Share of the model's parameters that removing all of it saves, 0..1. Neighbouring
            groups share the weights between them, so that shares do not add up.
        macs: Share of the multiply-adds, likewise; 0 where shapes stay.
    """

    layers: tuple[str, ...]
    params: float
    macs: float


def group_sizes(points: pd.DataFrame, inventory: Inventory) -> dict[str, GroupSize]:
    """Return what stands behind each curve, by the layer that names it.

    Args:
        points: The points table.
        inventory: Of the model that was measured.
    """
    named = points.drop_duplicates("layer")[["layer", "group"]]
    return _sizes(((name, name, group) for name, group in named.itertuples(index=False)), inventory)


def plan_sizes(plan: Plan, inventory: Inventory) -> dict[str, GroupSize]:
    """Return what stands behind each entry of a plan, by the entry's name."""
    named = ((entry.name, entry.layer, entry.group) for entry in plan.entries)
    return _sizes(named, inventory)


def _sizes(
    named: Iterable[tuple[str, str, str | None]], inventory: Inventory
) -> dict[str, GroupSize]:
    """Look up key, layer and group of each."""
    params, macs = max(inventory.params, 1), max(inventory.macs, 1)
    layers = {row.name: row for row in inventory.layers}
    groups = inventory.by_id
    found = {}
    for key, name, group_id in named:
        group = groups.get(group_id or "")
        if group is not None:
            members = tuple(dict.fromkeys((name, *group.layers)))
            found[key] = GroupSize(
                layers=members, params=group.params / params, macs=group.macs / macs
            )
        elif name in layers:
            found[key] = GroupSize(layers=(name,), params=layers[name].params / params, macs=0.0)
    return found


def not_prunable(inventory: Inventory) -> dict[str, str]:
    """Return the reason by layer of what no channel can be removed from."""
    return {row.name: row.reason for row in inventory.layers if not row.prunable}
