"""What a model consists of: layers, groups, parameters, multiply-adds, and what can be pruned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from analysis.records import GroupRow, Inventory, LayerRow, MemberRow
from analysis.subjects.flow import layer_edges
from pruners.batches import Inputs
from pruners.capture import capture, first_names
from pruners.errors import CaptureError
from pruners.groups import Cost, CostModel, Group, Layer, Structure, WholeCost, find_structure
from pruners.layers import layer_names

IDLE = "the output does not depend on it"


class HasModel(Protocol):
    """A subject, as far as its inventory needs it."""

    @property
    def model(self) -> nn.Module:
        """The model in eval mode."""

    @property
    def example(self) -> Inputs:
        """An input batch of at least two samples."""


def inventory(subject: HasModel) -> Inventory:
    """Take the inventory of a subject.

    A model that cannot be captured has layers, but no groups.
    """
    try:
        graph = capture(subject.model, subject.example)
    except CaptureError as error:
        return _without_graph(subject.model, subject.example, str(error))
    structure = find_structure(subject.model, graph, subject.example)
    return build_inventory(subject.model, structure)


def build_inventory(model: nn.Module, structure: Structure) -> Inventory:
    """Take the inventory of a model whose structure is known."""
    costs = CostModel(structure)
    macs = costs.layers()
    executed = {layer.name: layer for layer in structure.layers}
    rows = [_row(layer, macs, structure) for layer in structure.layers]
    first = first_names(model)
    for name in layer_names(model):
        if name in executed:
            continue
        owner, _, _ = first.get(f"{name}.weight", "").rpartition(".")
        is_tied = owner not in ("", name) and owner in executed
        reason = f"its weight is that of {owner}, where its multiply-adds are" if is_tied else IDLE
        rows.append(_idle(model, name, reason))
    return Inventory(
        params=costs.dense.params,
        macs=costs.dense.macs,
        layers=tuple(rows),
        groups=tuple(_group_row(group, costs.whole(group.id)) for group in structure.groups),
        edges=layer_edges(structure.trace.graph, executed),
        depth=tuple(
            _group_row(group, costs.whole(group.id), _weights(group, structure))
            for group in structure.depth
        ),
    )


def _weights(group: Group, structure: Structure) -> list[MemberRow]:
    """Return the weights of the layers that go with branches."""
    layers = {name for branch in group.branches for name in branch.layers}
    return [
        MemberRow(name=layer.weight, dim=layer.out_dim, role="producer")
        for layer in structure.layers
        if layer.name in layers
    ]


def _group_row(group: Group, whole: Cost, members: Iterable[MemberRow] | None = None) -> GroupRow:
    if members is None:
        members = (
            MemberRow(name=member.name, dim=member.dim, role=member.role)
            for member in group.members
        )
    return GroupRow(
        id=group.id,
        members=tuple(members),
        channels=group.units,
        prunable=not group.kept_whole,
        reason=group.kept_whole,
        kind=group.kind,
        exact=group.exact,
        note=group.note,
        params=whole.params,
        macs=whole.macs,
    )


def _row(layer: Layer, macs: Mapping[str, int], structure: Structure) -> LayerRow:
    groups = structure.of_layer(layer.name)
    free = (item for item in groups if not item.kept_whole)
    group = next(free, groups[0] if groups else None)
    reason = "its output channels could not be traced" if group is None else group.kept_whole
    return LayerRow(
        name=layer.name,
        type=layer.type,
        params=layer.params,
        macs=macs.get(layer.name, 0),
        output_shape=layer.output_shape,
        group=None if group is None else group.id,
        prunable=not reason,
        reason=reason,
        kept_in_part="" if reason else _kept_in_part(layer.name, groups),
    )


def _kept_in_part(layer: str, groups: Sequence[Group]) -> str:
    """Say how many output channels of a prunable layer stay in any case, and why."""
    made: dict[str, int] = {}
    total = 0
    for group in groups:
        for member in group.members:
            if member.layer == layer and member.role == "producer":
                total = len(member.index)
                count = int((member.index >= 0).sum())
                made[group.kept_whole] = made.get(group.kept_whole, 0) + count
    free = made.pop("", 0)
    if free >= total:
        return ""
    reasons = "; ".join(made) or "they could not be traced"
    return f"{total - free} of {total} channels stay: {reasons}"


def _idle(model: nn.Module, name: str, reason: str) -> LayerRow:
    module = model.get_submodule(name)
    return LayerRow(
        name=name,
        type=type(module).__name__,
        params=sum(item.numel() for item in module.parameters(recurse=False)),
        macs=0,
        output_shape=(),
        group=None,
        prunable=False,
        reason=reason,
    )


def _without_graph(model: nn.Module, example: Inputs, error: str) -> Inventory:
    names = layer_names(model)
    shapes = _output_shapes(model, example, names)
    cost = WholeCost(model, example)
    macs = cost.layers()
    rows = []
    for name in names:
        row = _idle(model, name, "the model cannot be captured")
        known = {"macs": macs.get(name, 0), "output_shape": shapes.get(name, ())}
        rows.append(LayerRow(**{**_fields(row), **known}))
    return Inventory(
        params=cost.dense.params,
        macs=cost.dense.macs,
        layers=tuple(rows),
        groups=(),
        capture_error=error,
    )


def _fields(row: LayerRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in LayerRow.__dataclass_fields__}


def _output_shapes(
    model: nn.Module, example: Inputs, names: tuple[str, ...]
) -> dict[str, tuple[int, ...]]:
    """Run the model once and note the output shapes of some layers, without the batch."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            shapes.setdefault(name, tuple(first.shape[1:]))

        return hook

    handles = [model.get_submodule(name).register_forward_hook(note(name)) for name in names]
    try:
        with torch.no_grad():
            model(example)
    finally:
        for handle in handles:
            handle.remove()
    return shapes
