"""From (criterion, granularity, ratio) to masks, and from masks to edits of a model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from analysis.edits.prepared import PreparedSubject
from analysis.edits.target import Target
from pruners.groups import apply_edit, consumer_edit, remove, weights_edit
from pruners.layers import find_layer, to_native, weight_name
from pruners.selection import kept_indices
from pruners.semantics import SEMANTICS


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A change of a model.

    Attributes:
        tensors: Replacing tensors by name.
        kept: Kept units by group id, for what only physical removal evaluates exactly because a
            norm mixes channels between producer and consumer, or no layer ends a branch. To be done
            after ``tensors``.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    kept: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def is_dense(self) -> bool:
        """Whether it changes nothing."""
        return not self.tensors and not self.kept


def edit_for(
    prepared: PreparedSubject,
    target: Target,
    mask: Tensor,
    *,
    semantics: str = "removal",
    state: Mapping[str, Tensor] | None = None,
) -> Edit:
    """Return the edit that a mask means.

    Args:
        prepared: The subject.
        target: What the mask is of.
        mask: True = keep: ``(units,)``, or the weight's output-first shape.
        semantics: ``removal`` or ``weights``; only channels and heads know the difference.
        state: Tensors to start from; the dense model's by default.
    """
    if bool(mask.all()):
        return Edit()
    return pruning_edit(prepared, target, mask, semantics=semantics, state=state)


def pruning_edit(
    prepared: PreparedSubject,
    target: Target,
    mask: Tensor,
    *,
    semantics: str = "removal",
    state: Mapping[str, Tensor] | None = None,
) -> Edit:
    """Return the edit of a mask that removes something; see `edit_for`.

    Nothing waits for the model's device if the mask of a group is on the CPU.
    """
    base = prepared.evaluator.state if state is None else state
    if target.group is None:
        name = _weight_fqn(prepared, target.layer)
        return Edit({name: _masked(prepared, target.layer, base[name], mask)})
    group = prepared.group(target.group)
    if not SEMANTICS.get(semantics).removes and not group.branches:
        return Edit(weights_edit(group, ~mask, base))
    if not group.exact:
        return Edit(kept={group.id: kept_indices(mask)})
    return Edit(consumer_edit(group, ~mask, base))


def _weight_fqn(prepared: PreparedSubject, layer: str) -> str:
    attribute = weight_name(find_layer(prepared.model, layer), name=layer)
    return f"{layer}.{attribute}" if layer else attribute


def _masked(prepared: PreparedSubject, layer: str, weight: Tensor, mask: Tensor) -> Tensor:
    module = find_layer(prepared.model, layer)
    native = to_native(mask, module).to(weight.device, non_blocking=True)
    return torch.where(native, weight, torch.zeros((), dtype=weight.dtype, device=weight.device))


# --- plans -----------------------------------------------------------------------------------


def edited_model(prepared: PreparedSubject, edit: Edit) -> nn.Module:
    """Return a copy of the model with the edit's tensors, physically smaller where it says so."""
    model = prepared.model
    if edit.tensors or not edit.kept:
        model = copy.deepcopy(model)
        apply_edit(model, edit.tensors)
    return remove(model, prepared.require_structure(), edit.kept).eval() if edit.kept else model
