"""What can be pruned in one piece: a group of channels, or elements of one layer."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from analysis.edits.prepared import PreparedSubject
from analysis.records import GroupOrLayer
from pruners.errors import InputError, UnsupportedError
from pruners.granularity import HALF_UP, Granularity, parse
from pruners.selection import num_kept, num_kept_fixed, num_units


@dataclass(frozen=True, slots=True)
class Target(GroupOrLayer):
    """What one pruning decision is about: a group's units, or one layer's weights.

    Attributes:
        layer: Module name; at channel and head granularity the group's first producer, at branch
            and layer granularity what its layers have in common in their names.
        group: The group's id; None where the granularity has no groups.
        total: Number of units.
        granularity: As in `SweepSpec`.
        prunable: Whether it can be pruned.
        reason: Why not.
    """

    layer: str
    group: str | None
    total: int
    granularity: str
    prunable: bool = True
    reason: str = ""


def targets(
    prepared: PreparedSubject, granularity: str, layers_glob: str = "*"
) -> tuple[Target, ...]:
    """Return what can and cannot be pruned at a granularity, in execution order.

    Args:
        prepared: The subject.
        granularity: As in `SweepSpec`.
        layers_glob: Glob over layer names and group ids; several joined by commas.

    Raises:
        InputError: A glob fits nothing, or the granularity is malformed.
        UnsupportedError: Groups are needed and the model could not be captured.
    """
    found = prepared.once(("targets", granularity), lambda: _all_targets(prepared, granularity))
    globs = [part.strip() for part in layers_glob.split(",")]
    fitting = {glob: [item for item in found if _fits(item, glob)] for glob in globs}
    for glob in globs:
        if not fitting[glob] and found:
            names = ", ".join(item.layer for item in found[:8]) + ", ..." * (len(found) > 8)
            raise InputError(f"no layer fits {glob!r}; layers: {names}")
    chosen = tuple(item for item in found if any(item in items for items in fitting.values()))
    if not chosen:
        raise UnsupportedError(f"the model has nothing to prune at granularity {granularity}")
    return chosen


def _fits(target: Target, glob: str) -> bool:
    return fnmatch.fnmatchcase(target.layer, glob) or fnmatch.fnmatchcase(target.name, glob)


def target_named(prepared: PreparedSubject, granularity: str, name: str) -> Target | None:
    """Return the target of a group id or layer name; None if there is none.

    Raises:
        InputError: The granularity is malformed.
        UnsupportedError: See `targets`.
    """
    by_name = prepared.once(
        ("targets by name", granularity),
        lambda: {target.name: target for target in targets(prepared, granularity)},
    )
    return by_name.get(name)


def _all_targets(prepared: PreparedSubject, granularity: str) -> tuple[Target, ...]:
    parsed = parse(granularity)
    if not parsed.is_structured:
        return tuple(_layer_target(prepared, name, parsed) for name in prepared.layers())
    structure = prepared.require_structure()
    return tuple(
        Target(
            group.layer, group.id, group.units, granularity, not group.kept_whole, group.kept_whole
        )
        for group in (structure.depth if parsed.is_whole else structure.groups)
        if group.kind == parsed.kind
    )


def _layer_target(prepared: PreparedSubject, name: str, granularity: Granularity) -> Target:
    shape = prepared.layer_shape(name)
    return Target(name, None, num_units(granularity, shape), str(granularity))


def kept_at(
    prepared: PreparedSubject, target: Target, ratio: float, *, rounding: str = HALF_UP
) -> int:
    """Return how many units of a target stay at a ratio; N:M has one ratio beside 0."""
    parsed = parse(target.granularity)
    if parsed.kind == "n:m" and ratio > 0:
        return num_kept_fixed(parsed, prepared.layer_shape(target.layer))
    return num_kept(ratio, target.total, keep_one=parsed.keep_one, rounding=rounding)
