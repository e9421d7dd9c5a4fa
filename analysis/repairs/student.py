"""The model that a repair of a plan works on: the dense one, or a physically smaller one.

Where zeroing a group's channels is not the same as removing them (a norm mixes them), inputs of the
pruned model exist only in the smaller model. Repairs then learn there from the dense model's
outputs, and what they find is written back to the places that the removal will keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn

from analysis.edits import Edit, PreparedSubject, edited_model
from pruners.capture import named_state
from pruners.groups import Member, removed_labels, sliced_state
from pruners.layers import find_layer, layer_names, output_first_weight, to_native, to_output_first


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """What is repaired.

    Attributes:
        model: The dense model, or a smaller one with the dense model's weights.
        state: Its parameters and buffers by name.
        rows: Layer -> numbers of the dense layer's output channels that the smaller model keeps;
            layers that keep all of them are not listed.
        is_smaller: Whether the model is a smaller one.
    """

    model: nn.Module
    state: Mapping[str, Tensor]
    rows: Mapping[str, Tensor] = field(default_factory=dict)
    is_smaller: bool = False
    _places: Mapping[str, Tensor] = field(default_factory=dict)
    _strides: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def small(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors of the dense model's shapes as the student has them."""
        return {
            name: tensor.reshape(-1)[self._places[name]] if name in self._places else tensor
            for name, tensor in tensors.items()
        }

    def full(self, tensors: Mapping[str, Tensor], dense: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Write the student's tensors into copies of the dense ones."""
        found = {}
        for name, tensor in tensors.items():
            if name in self._places:
                whole = dense[name].detach().clone()
                whole.view(-1)[self._places[name].reshape(-1)] = tensor.reshape(-1)
                found[name] = whole
            else:
                found[name] = tensor
        return found

    def index(self, member: Member) -> Tensor:
        """Return the unit of each position along the member's dim that the student keeps."""
        if member.name not in self._places:
            return member.index
        places = self._places[member.name].movedim(member.dim, 0).flatten(1)[:, 0]
        stride = self._strides[member.name][member.dim]
        return member.index[(places // stride % len(member.index)).to(member.index.device)]


def open_student(prepared: PreparedSubject, kept: Mapping[str, tuple[int, ...]]) -> Student:
    """Return the model that a repair works on.

    Args:
        prepared: The subject.
        kept: Kept units by group id, of the groups that only removal evaluates exactly.

    Returns:
        The dense model where there are none, or where the smaller model is a bare graph, whose
        layers cannot be watched.
    """
    dense = Student(prepared.model, prepared.evaluator.state)
    if not kept:
        return dense
    model = edited_model(prepared, Edit(kept=kept))
    if isinstance(model, fx.GraphModule):
        return dense
    structure = prepared.require_structure()
    removed = removed_labels(structure, kept)
    state = named_state(prepared.model)
    numbered = {
        name: torch.arange(tensor.numel(), device=tensor.device).reshape(tensor.shape)
        for name, tensor in state.items()
    }
    places = sliced_state(structure.trace, removed, numbered)
    return Student(
        model,
        named_state(model),
        rows=_rows(prepared.model, model, places),
        is_smaller=True,
        _places=places,
        _strides={name: numbered[name].stride() for name in places},
    )


def _rows(dense: nn.Module, small: nn.Module, places: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return which output channels of the dense layers the smaller ones have."""
    rows = {}
    for name in layer_names(dense):
        weight = f"{name}.weight"
        if weight not in places:
            continue
        module = find_layer(dense, name)
        shape = output_first_weight(module).shape
        owner = torch.arange(shape[0], device=places[weight].device)
        owners = to_native(owner.reshape(-1, *[1] * (len(shape) - 1)).expand(shape), module)
        chosen = owners.reshape(-1)[places[weight]]
        rows[name] = to_output_first(chosen, find_layer(small, name)).flatten(1)[:, 0]
    return rows
