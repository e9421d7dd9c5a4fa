"""Masks of ``torch.nn.utils.prune`` in a state dict, as ``NAME_mask`` beside ``NAME_orig``."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from analysis import plans
from analysis.imports.incoming.losses import lost
from analysis.imports.incoming.request import PlanRequest, entry_of
from analysis.imports.naming import renamed
from analysis.records import Plan, PlanEntry
from pruners.errors import PlanError, one_line
from pruners.groups import member_mask
from pruners.layers import find_layer, to_output_first, weight_name

END, ORIGINAL = "_mask", "_orig"
Masks = Mapping[str, Tensor]


def read_masks(request: PlanRequest) -> Plan:
    """Return the plan: masks that only removed channels leave are channels, others weights.

    Both have the kept indices. The plan's note says what of the file the plan does not have.

    Raises:
        PlanError: There is no mask, it fits no layer, or layers of one group keep different rows.
    """
    tensors = _tensors(request)
    masks = _of_layers(request, {n: item for n, item in tensors.items() if n.endswith(END)})
    plan = None
    if request.granularity != "element":
        plan = _removal(request, masks)
    if plan is None:
        plan = _weights(request, masks)
    return dataclasses.replace(plan, note=lost(request, plan, tensors))


def _tensors(request: PlanRequest) -> dict[str, Tensor]:
    """Return the tensors of the file by the model's names, as far as they differ by wrappers."""
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
    tensors = {
        str(name): tensor
        for name, tensor in (found.items() if isinstance(found, Mapping) else ())
        if isinstance(tensor, Tensor)
    }
    if not any(name.endswith(END) and item.dim() > 1 for name, item in tensors.items()):
        raise PlanError(
            f"{request.file} has no masks: tensors NAME.weight{END}, as torch.nn.utils.prune keeps "
            "them"
        )
    owners = {name: name.rpartition(".")[0] for name in tensors}
    layers = renamed([name for name in dict.fromkeys(owners.values()) if name], request.renames)
    return {
        f"{layers[owner]}.{name.rpartition('.')[2]}" if owner else name: tensors[name]
        for name, owner in owners.items()
    }


def _of_layers(request: PlanRequest, found: Masks) -> dict[str, Tensor]:
    """Return the masks of weights by layer, ``(O, I/G, K...)``, True = stays."""
    model, known, masks = request.prepared.model, set(request.prepared.layers()), {}
    for name, mask in found.items():
        layer, _, attribute = name.removesuffix(END).rpartition(".")
        if mask.dim() < 2:
            continue
        module = find_layer(model, layer) if layer in known else None
        if module is None or attribute != weight_name(module, name=layer):
            raise PlanError(
                f"{request.file} prunes {layer}, of which {request.model} cannot remove anything, "
                "or which it does not have; say which is which with --rename OLD=NEW"
            )
        expected = module.get_parameter(attribute).shape
        if mask.shape != expected:
            sizes = [" x ".join(map(str, shape)) for shape in (mask.shape, expected)]
            raise PlanError(
                f"{request.file}: the mask of {layer} is {sizes[0]}, {request.model} has {sizes[1]}"
            )
        masks[layer] = to_output_first(mask != 0, module)
    return masks


def _removal(request: PlanRequest, masks: Masks) -> Plan | None:
    """Return the plan of channels; None if the masks are not those that channels leave.

    Rows are what a layer makes. Columns may be masked with them, where they read what went.
    """
    rows = {layer: mask.flatten(1).any(1) for layer, mask in masks.items()}
    columns = {layer: mask.transpose(0, 1).flatten(1).any(1) for layer, mask in masks.items()}
    for layer, mask in masks.items():
        shape = (*mask.shape[:2], *[1] * (mask.dim() - 2))
        both = rows[layer][:, None] & columns[layer][None]
        # All rows zero leave no column to be read.
        if bool(rows[layer].any()) and not bool((mask == both.reshape(shape)).all()):
            return None
    read = {layer: item for layer, item in columns.items() if rows[layer].any() and not item.all()}
    try:
        plan = _channels(request, rows)
    except PlanError:
        if not read:
            raise
        return None
    return plan if all(_reads(request, plan, name, item) for name, item in read.items()) else None


def _reads(request: PlanRequest, plan: Plan, layer: str, columns: Tensor) -> bool:
    """Return whether a layer's columns are those that the removed channels leave."""
    left = torch.ones_like(columns)
    for entry in plans.pruned_entries(plan):
        gone = torch.ones(entry.total, dtype=torch.bool)
        gone[list(entry.indices or ())] = False
        for member in request.prepared.group(entry.name).consumers:
            if member.layer == layer and len(member.index) == len(left):
                left &= member_mask(member, gone).cpu()
    return torch.equal(left, columns)


def _channels(request: PlanRequest, rows: Masks) -> Plan:
    """Return the plan of channels, each group's the same in all of its layers."""
    plan = request.start("channel")
    kept: dict[str, tuple[str, tuple[int, ...]]] = {}
    for layer, row in rows.items():
        if bool(row.all()):
            continue
        entry = plans.find(plan, entry_of(request, plan, layer))
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
    return _with(plan, {name: found for name, (_, found) in kept.items()})


def _weights(request: PlanRequest, masks: Masks) -> Plan:
    """Return the plan of single weights; those that its criterion would choose are not listed."""
    plan = request.start("element")
    kept = {}
    for layer, mask in masks.items():
        if bool(mask.all()):
            continue
        entry = plans.find(plan, entry_of(request, plan, layer))
        _require_size(request, layer, mask.numel(), entry.total)
        kept[entry.name] = tuple(mask.flatten().nonzero().flatten().tolist())
    plan = _with(plan, kept)
    counted = {
        entry.name: dataclasses.replace(entry, indices=None) for entry in plans.pruned_entries(plan)
    }
    for layer, entry in counted.items():
        _, chosen = plans.mask_of_entry(request.prepared, entry)
        if torch.equal(chosen.cpu(), masks[layer]):
            plan = _replaced(plan, entry)
    return plan


def _with(plan: Plan, kept: Mapping[str, tuple[int, ...]]) -> Plan:
    """Return the plan with kept units by the entry's name."""
    for name, indices in kept.items():
        entry = plans.find(plan, name)
        ratio = 1 - len(indices) / entry.total
        plan = _replaced(
            plan, dataclasses.replace(entry, kept=len(indices), indices=indices, ratio=ratio)
        )
    return plan


def _replaced(plan: Plan, new: PlanEntry) -> Plan:
    entries = tuple(new if entry.name == new.name else entry for entry in plan.entries)
    return dataclasses.replace(plan, entries=entries)


def _require_all(request: PlanRequest, name: str, layer: str, rows: Masks) -> None:
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
