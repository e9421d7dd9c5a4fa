"""Pruned channels as edits of tensors; what the two edits mean: `pruners.semantics`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pruners.capture import named_state
from pruners.errors import UnsupportedError
from pruners.groups.groups import Group

if TYPE_CHECKING:
    from pruners.groups.groups import Group, Member


def removed_mask(group: Group, removed: Tensor) -> Tensor:
    """Return removed units as a boolean tensor ``(units,)``, from that or from unit numbers."""
    if removed.dtype == torch.bool:
        return removed
    mask = torch.zeros(group.units, dtype=torch.bool, device=removed.device)
    mask[removed] = True
    return mask


def member_mask(member: Member, removed: Tensor) -> Tensor:
    """Return which positions along the member's dim stay.

    Args:
        member: A member of the group.
        removed: Boolean ``(units,)``, True = removed.

    Returns:
        Boolean ``(size of the dim,)``, True = keep; positions outside the group stay.
    """
    index = member.index.to(removed.device)
    removed_positions: Tensor = (index >= 0) & removed[index.clamp_min(0)]
    return ~removed_positions


def weights_edit(group: Group, removed: Tensor, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the edit of the ``weights`` semantics: producers' weight and bias rows zeroed.

    Args:
        group: The group.
        removed: Boolean ``(units,)`` or int64 unit numbers.
        state: Tensors by fully qualified name; those of the group's producers are read.

    Returns:
        New tensors by fully qualified name.
    """
    removed = removed_mask(group, removed)
    edit: dict[str, Tensor] = {}
    for member in group.members:
        if member.role in ("producer", "bias"):
            masked = edit.get(member.name, state[member.name].detach())
            edit[member.name] = zeroed(masked, member_mask(member, removed), dim=member.dim)
    return edit


def consumer_masks(group: Group, removed: Tensor, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return, for each consumer weight, which elements stay when units are removed.

    Args:
        group: The group.
        removed: Boolean ``(units,)`` or int64 unit numbers.
        state: Tensors by fully qualified name.

    Returns:
        Boolean masks of the weights' shapes, in the modules' own layout, True = keep.
    """
    removed = removed_mask(group, removed)
    masks: dict[str, Tensor] = {}
    for member in group.consumers:
        whole = torch.ones_like(state[member.name], dtype=torch.bool)
        mask = zeroed(whole, member_mask(member, removed), dim=member.dim)
        masks[member.name] = masks[member.name] & mask if member.name in masks else mask
    return masks


def zeroed(tensor: Tensor, keep: Tensor, *, dim: int) -> Tensor:
    """Return a copy of ``tensor`` with the positions along ``dim`` that are not kept set to 0."""
    shape = [1] * tensor.dim()
    shape[dim] = -1
    lost = ~keep.reshape(shape)
    return tensor.masked_fill(lost.to(tensor.device, non_blocking=True), 0)


def consumer_edit(group: Group, removed: Tensor, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Zero the input columns of a group's consumers.

    Args:
        group: The group; this equals removal where it is ``exact``.
        removed: Boolean ``(units,)`` or int64 unit numbers.
        state: Tensors by fully qualified name.

    Returns:
        New tensors by fully qualified name.

    Raises:
        UnsupportedError: The group cannot be pruned.
    """
    if not group.prunable:
        raise UnsupportedError(f"group {group.id} cannot be pruned: {group.reason}")
    removed = removed_mask(group, removed)
    edit: dict[str, Tensor] = {}
    for member in group.consumers:
        tensor = edit.get(member.name, state[member.name].detach())
        edit[member.name] = zeroed(tensor, member_mask(member, removed), dim=member.dim)
    return edit


def apply_edit(model: nn.Module, edit: Mapping[str, Tensor]) -> None:
    """Write the tensors of an edit into a model, in place."""
    state = named_state(model)
    with torch.no_grad():
        for name, value in edit.items():
            state[name].copy_(value)
