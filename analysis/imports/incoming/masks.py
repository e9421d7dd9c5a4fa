"""Masks of ``torch.nn.utils.prune`` in a state dict, as ``NAME.weight_mask``."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from analysis.imports.incoming.request import PlanRequest, entry_of, plan_of_counts
from analysis.imports.naming import renamed
from analysis.plans import find
from analysis.records import Plan
from pruners.errors import PlanError, one_line

END = ".weight_mask"


def read_masks(request: PlanRequest) -> Plan:
    """Return the plan: whole rows of zeros are channels, with their indices; else weights, counted.

    Raises:
        PlanError: There is no mask, it fits no layer, or layers of one group keep different rows.
    """
    masks = _masks(request)
    layers = renamed(list(masks), request.renames)
    by_layer = {layers[name]: mask != 0 for name, mask in masks.items()}
    rows = {layer: mask.flatten(1) for layer, mask in by_layer.items()}
    whole = all(bool((item.all(1) | ~item.any(1)).all()) for item in rows.values())
    if whole and request.granularity != "element":
        return _channels(request, {layer: item.any(1) for layer, item in rows.items()})
    plan = request.start("element")
    counts = {}
    for layer, mask in by_layer.items():
        entry = find(plan, entry_of(request, plan, layer))
        _require_size(request, layer, mask.numel(), entry.total)
        counts[layer] = (entry.name, int(mask.sum()))
    return plan_of_counts(request, plan, counts)


def _masks(request: PlanRequest) -> dict[str, Tensor]:
    try:
        if request.content[:2] == b"PK":
            found: Any = torch.load(
                io.BytesIO(request.content), map_location="cpu", weights_only=True
            )
        else:
            found = safetensors.torch.load(request.content)
    except Exception as error:
        # Damaged and foreign files make torch.load raise a dozen types.
        raise PlanError(f"{request.file} is no plain state dict: {one_line(error)}") from None
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    masks = {
        str(name).removesuffix(END): tensor
        for name, tensor in (found.items() if isinstance(found, Mapping) else ())
        if str(name).endswith(END) and isinstance(tensor, Tensor) and tensor.dim() > 1
    }
    if not masks:
        raise PlanError(
            f"{request.file} has no masks: tensors NAME{END}, as torch.nn.utils.prune keeps them"
        )
    return masks


def _channels(request: PlanRequest, rows: Mapping[str, Tensor]) -> Plan:
    """Return the plan of channels, each group's the same in all of its layers."""
    plan = request.start("channel")
    kept: dict[str, tuple[str, tuple[int, ...]]] = {}
    for layer, row in rows.items():
        if bool(row.all()):
            continue
        entry = find(plan, entry_of(request, plan, layer))
        _require_size(request, layer, len(row), entry.total)
        found = tuple(row.nonzero().flatten().tolist())
        other, before = kept.setdefault(entry.name, (layer, found))
        if before != found:
            raise PlanError(
                f"{request.file}: {other} and {layer} keep different channels, but belong to one "
                f"group, {entry.name}; give --granularity element to take the masks as weights"
            )
    for name, (layer, _) in kept.items():
        _require_all(request, name, layer, rows)
    entries = [
        dataclasses.replace(
            entry,
            kept=len(kept[entry.name][1]),
            indices=kept[entry.name][1],
            ratio=1 - len(kept[entry.name][1]) / entry.total,
        )
        if entry.name in kept
        else entry
        for entry in plan.entries
    ]
    return dataclasses.replace(plan, entries=tuple(entries))


def _require_all(request: PlanRequest, name: str, layer: str, rows: Mapping[str, Tensor]) -> None:
    """Refuse rows that are masked in some layers of a group and not in others."""
    group = request.prepared.group(name)
    producers = {member.layer for member in group.producers}
    whole = [item for item in sorted(producers) if item not in rows or bool(rows[item].all())]
    if whole:
        raise PlanError(
            f"{request.file} masks channels of {layer}, but not of {', '.join(whole)}, with which "
            f"{request.model} removes them together; give --granularity element to take the masks "
            "as weights"
        )


def _require_size(request: PlanRequest, layer: str, found: int, expected: int) -> None:
    if found != expected:
        raise PlanError(
            f"{request.file}: the mask of {layer} has {found} units, {request.model} has {expected}"
        )
