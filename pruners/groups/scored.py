"""Which output channels of which layers tell how important a group's units are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pruners.errors import UnsupportedError
from pruners.layers import INPUT_FIRST_TYPES, LAYER_TYPES, TRANSPOSED_TYPES, weight_name

if TYPE_CHECKING:
    from pruners.groups.groups import Member


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Output channels of a layer that belong to a group.

    Attributes:
        layer: The layer's name.
        index: Unit of each output channel ``(O,)``, int64; -1 is outside the group.
        is_depthwise: Whether they filter channels that other layers make.
    """

    layer: str
    index: Tensor
    is_depthwise: bool = False


def scored_rows(
    modules: Mapping[str, nn.Module], members: Iterable[Member], units: int
) -> tuple[tuple[Rows, ...], str]:
    """Return the rows that a group's units are scored by, and why there are too few.

    Args:
        modules: The model's modules by name.
        members: The group's members.
        units: The number of its units.

    Returns:
        The rows; and a reason, empty where the rows of those that make the channels cover all
        units.
    """
    found: list[Rows] = []
    reason = ""
    covered = torch.zeros(units, dtype=torch.bool)
    for member in members:
        if member.role not in ("producer", "depthwise"):
            continue
        try:
            rows = _rows(modules, member)
        except UnsupportedError as error:
            reason = reason or str(error)
            continue
        found.append(rows)
        if not rows.is_depthwise:
            covered[rows.index[rows.index >= 0]] = True
    return tuple(found), "" if bool(covered.all()) else reason


def computed_weight(modules: Mapping[str, nn.Module], members: Iterable[Member]) -> str:
    """Say which of the layers of some members computes its weight, and what to do; or nothing."""
    for member in members:
        module = modules.get(member.layer)
        if isinstance(module, LAYER_TYPES) and not isinstance(module, nn.MultiheadAttention):
            try:
                weight_name(module, name=member.layer)
            except UnsupportedError as error:
                return str(error)
    return ""


def _rows(modules: Mapping[str, nn.Module], member: Member) -> Rows:
    module = modules.get(member.layer)
    if module is None:
        raise UnsupportedError(f"{member.name} is no weight of a layer, so no criterion scores it")
    is_weight = member.name.endswith(f".{weight_name(module, name=member.layer)}")
    is_depthwise = member.role == "depthwise"
    rows_dim = 1 if isinstance(module, INPUT_FIRST_TYPES) and not is_depthwise else 0
    if not is_weight or member.dim != rows_dim:
        raise UnsupportedError(
            f"{member.name} makes channels along its dim {member.dim}, by which no criterion scores"
        )
    index = member.index
    if isinstance(module, TRANSPOSED_TYPES) and is_depthwise:
        index = index.repeat_interleave(module.out_channels // len(index))
    elif isinstance(module, TRANSPOSED_TYPES):
        # Dim 1 holds the channels of one convolution group; the others have the same.
        index = index.repeat(module.groups)
    return Rows(member.layer, index, is_depthwise)
