"""Torch-Pruning's history: which channels went, counted among those left at each step."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from analysis.imports.incoming.request import PlanRequest
from analysis.imports.naming import renamed
from analysis.imports.readers import json_of, looks_like_json
from analysis.records import Plan
from pruners.errors import PlanError

Unit = tuple[str, int]


def is_history(content: bytes) -> bool:
    """Say whether it is a list of lists that begin with a text and a truth value."""
    if not looks_like_json(content, b"["):
        return False
    found = json_of(content, "the file")
    return bool(found) and isinstance(found, list) and _is_step(found[0])


def _is_step(item: Any) -> bool:
    return (
        isinstance(item, list)
        and len(item) == 3
        and isinstance(item[0], str)
        and isinstance(item[1], bool)
        and isinstance(item[2], list)
        and all(type(place) is int for place in item[2])
    )


def read_history(request: PlanRequest) -> Plan:
    """Return the plan with exactly the channels that the history leaves.

    Raises:
        PlanError: A step names no layer of the model, channels that are not there, or a part of
            what can only go as a whole.
    """
    steps = json_of(request.content, request.file)
    if not isinstance(steps, list) or not steps or not all(map(_is_step, steps)):
        raise PlanError(f"{request.file} holds no steps [layer, of outputs, [channels]]")
    plan = request.start("channel")
    layers = renamed(list(dict.fromkeys(step[0] for step in steps)), request.renames)
    removed: set[Unit] = set()
    for root, is_out, places in steps:
        removed |= _removed(request, layers[root], is_out, places, removed)
    by_group = Counter(group for group, _ in removed)
    names = {entry.name for entry in plan.entries}
    if unknown := sorted(set(by_group) - names):
        raise PlanError(
            f"{request.file} removes channels of {', '.join(unknown)}, of which {request.model} "
            "cannot remove any"
        )
    entries = []
    for entry in plan.entries:
        if entry.name in by_group:
            kept = [unit for unit in range(entry.total) if (entry.name, unit) not in removed]
            if not kept:
                raise PlanError(f"{request.file} removes all channels of {entry.name}")
            ratio = (entry.total - len(kept)) / entry.total
            entry = dataclasses.replace(entry, ratio=ratio, kept=len(kept), indices=tuple(kept))
        entries.append(entry)
    return dataclasses.replace(plan, entries=tuple(entries))


def _removed(
    request: PlanRequest, layer: str, is_out: bool, places: list[int], gone: set[Unit]
) -> set[Unit]:
    """Return the units that a step removes; its places count the channels that are left."""
    owners = _owners(request, layer, is_out)
    left = [unit for unit in owners if unit not in gone]
    if (
        not places
        or len(set(places)) != len(places)
        or not 0 <= min(places) <= max(places) < len(left)
    ):
        raise PlanError(
            f"{request.file}: {layer} has {len(left)} channels left at its step; the channels "
            "removed must be different ones of them"
        )
    touched = Counter(left[place] for place in places)
    whole = Counter(left)
    for unit, count in touched.items():
        if unit is None or whole[unit] != count:
            raise PlanError(
                f"{request.file}: {layer} loses {count} of {whole[unit]} channels that "
                f"{request.model} "
                "can only remove together"
            )
    return {unit for unit in touched if unit is not None}


def _owners(request: PlanRequest, layer: str, is_out: bool) -> list[Unit | None]:
    """Return the unit of each channel of a layer; None for those that belong to none."""
    owners: dict[int, Unit | None] = {}
    for group in request.prepared.require_structure().groups:
        for member in group.producers if is_out else group.consumers:
            if member.layer == layer:
                for place, unit in enumerate(member.index.tolist()):
                    if unit >= 0:
                        owners[place] = (group.id, unit)
                    else:
                        owners.setdefault(place, None)
    if not owners:
        side = "output" if is_out else "input"
        raise PlanError(
            f"{request.file} removes {side} channels of {layer}, which {request.model} does not "
            "have; say which is which with --rename OLD=NEW"
        )
    return [owners[place] for place in sorted(owners)]
