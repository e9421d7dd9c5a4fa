"""What repairs may look at and change: calibration data, visible layers, kept weights."""

from __future__ import annotations

from torch import Tensor, nn

from analysis.edits import CALIBRATION_BATCH, PreparedSubject, Target
from pruners.batches import Inputs
from pruners.errors import InputError
from pruners.groups import Group, Member, consumer_masks
from pruners.layers import INPUT_FIRST_TYPES, find_layer, is_layer, to_native, weight_name

Batches = list[tuple[Inputs, Tensor | None]]


def calibration_batches(prepared: PreparedSubject) -> Batches:
    """Return the calibration set as a list of batches.

    Raises:
        InputError: The subject has no calibration data.
    """
    split = prepared.subject.calibration
    if split is None:
        raise InputError(
            "a repair needs calibration data; give a data address, and calibration samples above 0 "
            "or calibration data"
        )
    return list(split.batches(CALIBRATION_BATCH))


def weight_masks(prepared: PreparedSubject, target: Target, mask: Tensor) -> dict[str, Tensor]:
    """Return which weights a repair may fit after a target is pruned (semantics ``removal``).

    Args:
        prepared: The subject.
        target: What is pruned.
        mask: True = keep: ``(units,)``, or the weight's output-first shape.

    Returns:
        Weight name -> boolean mask in the module's layout, True = keep.
    """
    if target.group is not None:
        return consumer_masks(prepared.group(target.group), ~mask, prepared.evaluator.state)
    module = find_layer(prepared.model, target.layer)
    attribute = weight_name(module, name=target.layer)
    name = f"{target.layer}.{attribute}" if target.layer else attribute
    return {name: to_native(mask, module)}


def visible_readers(model: nn.Module, group: Group) -> list[Member]:
    """Return the weights that read a group as inputs of layers that can be seen.

    A weight that code multiplies by turned round reads channels by its rows, outside of its layer.
    """
    found = []
    for member in group.consumers:
        if member.name.endswith(".weight") and is_visible(model, member.layer):
            layer = find_layer(model, member.layer)
            if member.dim == (0 if isinstance(layer, INPUT_FIRST_TYPES) else 1):
                found.append(member)
    return found


def is_visible(model: nn.Module, layer: str) -> bool:
    """Return whether the inputs and outputs of a weight's module can be seen.

    Not inside of attention, and not where code multiplies by the weight of a module that is no
    layer: a head that is tied to an embedding.
    """
    module = model.get_submodule(layer)
    if isinstance(module, nn.MultiheadAttention) or not is_layer(module):
        return False
    parent = model.get_submodule(layer.rpartition(".")[0])
    return not isinstance(parent, nn.MultiheadAttention)
