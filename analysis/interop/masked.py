"""The plan as masks: which elements of each parameter of the dense model stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from analysis import plans
from analysis.edits import PreparedSubject, Target
from analysis.files import atomic
from analysis.interop.request import ExportRequest
from analysis.recovery import elements_left
from pruners.errors import UnsupportedError
from pruners.groups import member_mask
from pruners.layers import find_layer, to_native, weight_name


def masks(request: ExportRequest) -> dict[str, Tensor]:
    """Return masks of the parameters that the plan changes, True = stays.

    Of removed channels and heads all that removal takes is masked: rows of what makes them, biases,
    norms, and columns of what reads them. So each mask has as many ones as the smaller model has
    elements, and the masked model computes what the smaller one does.

    Args:
        request: What is exported.

    Returns:
        Boolean masks of the parameters' shapes, by parameter name.

    Raises:
        UnsupportedError: A norm mixes removed channels with others, which zeros cannot say.
        PlanError: The plan does not fit the subject.
    """
    prepared = request.prepared
    shapes = {name: item.shape for name, item in prepared.model.named_parameters()}
    found: dict[str, Tensor] = {}
    plan = plans.resolve(prepared, request.chosen)
    changed = {} if request.recovery is None else request.recovery.edit.tensors
    for entry in plans.pruned_entries(plan):
        target, mask = plans.mask_of_entry(prepared, entry, reduction=plan.reduction)
        mask = elements_left(prepared, target, mask, changed)
        for name, part in _target_masks(prepared, target, mask, shapes):
            found[name] = found[name] & part if name in found else part
    return found


def full_state(request: ExportRequest) -> dict[str, Tensor]:
    """Return parameters and buffers of the exported model in the dense model's shapes.

    Values at removed places are left as they are; see `masks`.
    """
    prepared = request.prepared
    # What a plan zeroes is behind its masks; what a repair wrote is not.
    changed = {} if request.recovery is None else request.recovery.edit.tensors
    return {
        name: changed.get(name, tensor).detach().cpu()
        for name, tensor in prepared.model.state_dict().items()
    }


def write_masked(request: ExportRequest, found: dict[str, Tensor], path: Path) -> None:
    """Write parameters and buffers of the dense shapes, with zeros where `masks` has them.

    Args:
        request: What is exported.
        found: Its masks, by parameter name.
        path: The safetensors file.
    """
    state = {
        name: (item * found[name] if name in found else item).clone().contiguous()
        for name, item in full_state(request).items()
    }
    with atomic(path) as partial:
        safetensors.torch.save_file(state, str(partial))
    # safetensors writes files that only their owner may read.
    path.chmod(0o644)


def _target_masks(
    prepared: PreparedSubject, target: Target, mask: Tensor, shapes: dict[str, torch.Size]
) -> Iterator[tuple[str, Tensor]]:
    if target.group is None:
        module = find_layer(prepared.model, target.layer)
        attribute = weight_name(module, name=target.layer)
        name = f"{target.layer}.{attribute}" if target.layer else attribute
        yield name, to_native(mask, module).cpu()
        return
    group = prepared.group(target.group)
    if not group.exact:
        raise UnsupportedError(
            f"masks cannot say what is removed at {group.id}: {group.note}, so that the others "
            "change when a channel is gone, which zeros do not do; export the smaller model "
            "(model, onnx), or leave this group whole"
        )
    for member in group.members:
        if member.name in shapes:
            kept = member_mask(member, ~mask.cpu())
            shape = [1] * len(shapes[member.name])
            shape[member.dim] = -1
            yield member.name, kept.reshape(shape).expand(shapes[member.name]).contiguous()
