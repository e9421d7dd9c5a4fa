"""What every filled plan keeps to, whatever the strategy: counts that are rounded, least, equal."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.edits import PreparedSubject
from analysis.plans import find, rounded
from analysis.records import Plan, PlanEntry
from pruners.errors import InputError
from pruners.granularity import parse
from pruners.groups import Structure
from pruners.layers import find_layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Constraints on kept counts. Counts only grow, so that none costs accuracy; locks stay.

    Attributes:
        structure: That of the model; None without a graph.
        round_to: Kept channels are rounded up to a multiple of this.
        min_kept: What each entry keeps at least: below 1 a share of its units, else a number.
        tied: Names of entries that keep equally many units: the most that one of them keeps, or
            as many as one that is locked.
    """

    structure: Structure | None = None
    round_to: int = 1
    min_kept: float = 0.0
    tied: tuple[tuple[str, ...], ...] = ()

    def finish(self, plan: Plan) -> Plan:
        """Return the plan with counts that keep to the constraints.

        Raises:
            InputError: Entries that are to be equal are locked at different counts.
            UnsupportedError: Rounding is asked for, but the plan is not of channels.
        """
        if self.min_kept:
            entries = tuple(_at_least(entry, self.min_kept) for entry in plan.entries)
            plan = dataclasses.replace(plan, entries=entries)
        plan = rounded(plan, self.structure, multiple=self.round_to)
        wanted = {name: kept for names in self.tied for name, kept in _equal(plan, names).items()}
        if not wanted:
            return plan
        entries = tuple(_keeping(entry, wanted.get(entry.name)) for entry in plan.entries)
        return dataclasses.replace(plan, entries=entries)


def check_min_kept(value: float) -> None:
    """Check a least number or share of kept units.

    Raises:
        InputError: It is negative, or neither a share nor a whole number.
    """
    if not 0 <= value < math.inf or (value > 1 and value != int(value)):
        raise InputError(
            f"at least {value:g} kept: expected a share below 1, or a whole number of units"
        )


def _at_least(entry: PlanEntry, least: float) -> PlanEntry:
    if entry.locked:
        return entry
    # A hair less, so that 0.3 of 10 is 3.
    wanted = int(least) if least >= 1 else math.ceil(least * entry.total - 1e-9)
    wanted = min(wanted, entry.total)
    if entry.kept >= wanted:
        return entry
    is_pattern = parse(entry.granularity).fixed_ratio is not None
    return _keeping(entry, entry.total if is_pattern else wanted)


def _equal(plan: Plan, names: tuple[str, ...]) -> dict[str, int]:
    """Return what the unlocked of some entries keep, if all are to keep equally many."""
    entries = [find(plan, name) for name in names]
    locked = {entry.kept: entry.layer for entry in entries if entry.locked}
    if len(locked) > 1:
        kept = " and ".join(f"{layer} at {count}" for count, layer in locked.items())
        raise InputError(
            f"{kept} are locked, but are to keep equally many units: unlock one, or ask without "
            "equal counts"
        )
    most = next(iter(locked), max(entry.kept for entry in entries))
    return {entry.name: most for entry in entries if not entry.locked}


def _keeping(entry: PlanEntry, kept: int | None) -> PlanEntry:
    if kept is None or kept == entry.kept:
        return entry
    return dataclasses.replace(entry, kept=kept, indices=None)


def equal_entries(prepared: PreparedSubject, plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Return the names of entries that are of equal shape and role, two or more together.

    Groups are if they touch tensors of equal shapes at equal dims in equal roles, as the hidden
    units of all blocks of a transformer do; layers if their weights have one shape.
    """
    found: dict[object, list[str]] = {}
    for entry in plan.entries:
        found.setdefault(_kind(prepared, entry), []).append(entry.name)
    return tuple(tuple(names) for names in found.values() if len(names) > 1)


def _kind(prepared: PreparedSubject, entry: PlanEntry) -> object:
    if entry.group is None:
        layer = find_layer(prepared.model, entry.layer)
        return entry.granularity, type(layer).__name__, _shapes(prepared, entry.layer)
    group = prepared.group(entry.group)
    state: Mapping[str, object] = prepared.evaluator.state
    members = sorted(
        (member.role, member.dim, tuple(getattr(state[member.name], "shape", ())))
        for member in group.members
    )
    return entry.granularity, group.kind, group.units, tuple(members)


def _shapes(prepared: PreparedSubject, layer: str) -> tuple[tuple[int, ...], ...]:
    module = find_layer(prepared.model, layer)
    return tuple(tuple(item.shape) for item in module.parameters(recurse=False))
