"""Groups: channels of several layers that can only be removed together.

Groups are read off the captured graph; see `pruners.tracing.labels` for the method. A group lists,
for each dim of each parameter that it touches, which of its units each position belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pruners.batches import Inputs
from pruners.capture import Graph
from pruners.errors import UnknownNameError
from pruners.granularity import KINDS
from pruners.groups.branches import Branch, find_branches
from pruners.groups.scored import Rows, computed_weight, scored_rows
from pruners.layers import layer_of
from pruners.tracing import (
    OUTPUT_REASON,
    Product,
    Trace,
    Units,
    count_unsized,
    find_units,
    operator_name,
    run_trace,
    units_of,
)


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One dim of one parameter or buffer that a group touches.

    Attributes:
        name: Fully qualified name, such as ``layer1.0.conv1.weight``.
        dim: The dim.
        role: ``producer``, ``consumer``, ``bias``, ``norm``, ``depthwise`` or ``parameter``.
        index: Unit of each position along the dim ``(size,)``, int64; -1 is outside the group.
    """

    name: str
    dim: int
    role: str
    index: Tensor

    @property
    def layer(self) -> str:
        """Name of the module that holds the parameter."""
        return layer_of(self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Channels that go together.

    Attributes:
        id: Name of the first producing layer; ``#2``, ... follow if it makes several groups.
        layer: That layer.
        kind: ``channel``, ``head``, ``branch`` or ``layer``.
        units: Number of units, each removed or kept as a whole.
        members: What removal slices.
        prunable: Whether units can be removed.
        reason: Why not.
        exact: Whether zeroing the consumers' input columns equals removal. Where a norm mixes the
            channels it does not.
        note: What mixes the channels, if the group is not exact.
        rows: Output channels of layers that the units are scored by.
        unscored: Why no criterion can score them; empty where one can.
        branches: The residual branches that are the only unit, of depth; empty for channels. What
            makes them zero are the consumers.
    """

    id: str
    layer: str
    kind: str
    units: int
    members: tuple[Member, ...]
    prunable: bool
    reason: str
    exact: bool
    note: str = ""
    rows: tuple[Rows, ...] = ()
    unscored: str = ""
    branches: tuple[Branch, ...] = ()

    @property
    def kept_whole(self) -> str:
        """Why no units are chosen for removal: they cannot be removed, or not be scored."""
        return self.reason or self.unscored

    @property
    def producers(self) -> tuple[Member, ...]:
        """Members whose rows make the channels."""
        return tuple(member for member in self.members if member.role == "producer")

    @property
    def consumers(self) -> tuple[Member, ...]:
        """Members whose columns read the channels."""
        return tuple(member for member in self.members if member.role == "consumer")


@dataclass(frozen=True, slots=True)
class Layer:
    """A module with a weight that the graph multiplies by.

    Attributes:
        name: Module name.
        type: Class name of the module.
        weight: Fully qualified name of the weight.
        out_dim: Dim of the weight that makes channels.
        in_dim: Dim of the weight that reads channels.
        groups: Convolution groups.
        params: Number of parameters of the module itself.
        output_shape: Shape of the (first) output without the batch.
        executed: Whether the graph runs it.
    """

    name: str
    type: str
    weight: str
    out_dim: int
    in_dim: int
    groups: int
    params: int
    output_shape: tuple[int, ...]
    executed: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """All groups and layers of a model, in execution order.

    Attributes:
        groups: Groups, prunable or not.
        layers: Layers.
        trace: The labels of every value of the graph.
        units: Which labels go together.
        example: The input batch that removal is verified on.
        parameters: Shape of every parameter, shared ones once.
        depth: What can be left out as a whole: residual branches, then layers of them, each a
            group of one unit.
    """

    groups: tuple[Group, ...]
    layers: tuple[Layer, ...]
    trace: Trace
    units: Units
    example: Inputs
    parameters: Mapping[str, tuple[int, ...]]
    depth: tuple[Group, ...] = ()

    def group(self, group_id: str) -> Group:
        """Return the group of that id.

        Raises:
            UnknownNameError: There is none.
        """
        for group in (*self.groups, *self.depth):
            if group.id == group_id:
                return group
        raise UnknownNameError("group", group_id, [group.id for group in self.groups])

    def of_layer(self, name: str) -> tuple[Group, ...]:
        """Return the groups that a layer makes channels of."""
        return tuple(
            group
            for group in self.groups
            if any(m.layer == name and m.role in ("producer", "depthwise") for m in group.members)
        )


def find_structure(
    model: nn.Module, graph: Graph, example: Inputs, *, strict: bool = False
) -> Structure:
    """Find the groups and layers of a model.

    Args:
        model: The model that was captured.
        graph: Its graph.
        example: An input batch; the graph was captured with its shape.
        strict: Raise what the handler of an operator raises; by default, channels that it reads
            cannot be removed, and the operator is named as the reason.
    """
    trace = run_trace(model, graph, strict=strict)
    count_unsized(trace, model, example)
    units = find_units(trace)
    parameters = {name: tuple(item.shape) for name, item in model.named_parameters()}
    groups, layers = _groups(model, trace, units), _layers(model, trace)
    depth = _depth(find_branches(trace, parameters), layers, parameters)
    return Structure(groups, layers, trace, units, example, parameters, depth)


def _depth(
    branches: Iterable[Branch], layers: Iterable[Layer], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Group, ...]:
    """Return branches, and layers of them, as groups of one unit."""
    found: dict[tuple[str, str], list[Branch]] = {}
    for kind in (item.name for item in KINDS if item.is_whole):
        for branch in branches:
            name = branch.name if kind == "branch" else branch.block
            found.setdefault((kind, name), []).append(branch)
    groups = []
    for (kind, name), inside in found.items():
        covered = {layer for branch in inside for layer in branch.layers}
        outside = [item.name for item in layers if item.name.startswith(f"{name}.")]
        outside = [item for item in outside if item not in covered and kind == "layer"]
        reason = f"{outside[0]} of it is in no residual branch" if outside else ""
        if len({(item.name, item.layers) for item in inside}) < len(inside):
            reason = "its layers run several times"
        groups.append(_whole(kind, name, tuple(inside), reason, shapes))
    return tuple(groups)


def _whole(
    kind: str,
    name: str,
    branches: tuple[Branch, ...],
    reason: str,
    shapes: Mapping[str, tuple[int, ...]],
) -> Group:
    is_exact = all(branch.zeroed for branch in branches)
    return Group(
        id=f"{kind}:{name}",
        layer=name,
        kind=kind,
        units=1,
        members=tuple(
            Member(item, 0, "consumer", torch.zeros(shapes[item][0], dtype=torch.int64))
            for branch in branches
            for item in branch.zeroed
        ),
        prunable=not reason,
        reason=reason,
        exact=is_exact,
        note="" if is_exact else "no layer or norm ends it",
        branches=branches,
    )


def _groups(model: nn.Module, trace: Trace, units: Units) -> tuple[Group, ...]:
    modules = dict(model.named_modules(remove_duplicate=False))
    dims = units_of(trace.labels, units)
    # Which dims a unit touches, and at how many positions: units of one group cost the same.
    touches: dict[int, list[tuple[int, int]]] = {}
    for position, (_, _, line) in enumerate(dims):
        found, counts = torch.unique(line, return_counts=True)
        for unit, count in zip(found.tolist(), counts.tolist(), strict=True):
            touches.setdefault(unit, []).append((position, count))
    producers = [
        key for key, roles in trace.roles.items() if {"producer", "depthwise"} & set(roles)
    ]
    # A group has the name of a layer that makes its channels, rather than that of a table.
    producers.sort(key=lambda key: key in trace.tables)
    places = {(name, dim): position for position, (name, dim, _) in enumerate(dims)}
    families: dict[Any, list[int]] = {}
    done: set[int] = set()
    for key in producers:
        if "producer" not in trace.roles[key]:
            continue
        for unit in dict.fromkeys(dims[places[key]][2].tolist()):
            if unit not in done:
                done.add(unit)
                signature = (
                    places[key],
                    tuple(touches[unit]),
                    unit in units.frozen,
                    unit in units.mixed,
                    unit in units.heads,
                )
                families.setdefault(signature, []).append(unit)
    groups: list[Group] = []
    taken: dict[str, int] = {}
    for signature, family in families.items():
        layer = layer_of(dims[signature[0]][0])
        taken[layer] = taken.get(layer, 0) + 1
        suffix = f"#{taken[layer]}" if taken[layer] > 1 else ""
        touched = [dims[position] for position, _ in touches[family[0]]]
        members = tuple(_members(trace, units, family, touched))
        group = _group(units, family, layer + suffix, layer, members)
        rows, unscored = scored_rows(modules, members, group.units)
        reason = group.reason
        if reason and reason != OUTPUT_REASON:
            # An operator inside a parametrization says less than that there is one.
            reason = computed_weight(modules, members) or reason
        groups.append(replace(group, reason=reason, rows=rows, unscored=unscored))
    return tuple(groups)


def _members(
    trace: Trace, units: Units, family: list[int], touched: Iterable[tuple[str, int, Tensor]]
) -> Iterable[Member]:
    number = torch.full((len(units.root),), -1)
    number[torch.tensor(family)] = torch.arange(len(family))
    order = {key: position for position, key in enumerate(trace.roles)}
    found = [
        Member(name, dim, role, number[line])
        for name, dim, line in touched
        for role in trace.roles.get((name, dim), {"parameter": None})
    ]
    last = len(order)
    return sorted(found, key=lambda member: order.get((member.name, member.dim), last))


def _group(
    units: Units, family: list[int], group_id: str, layer: str, members: tuple[Member, ...]
) -> Group:
    first = family[0]
    reason = units.frozen.get(first, "")
    if not reason and len(family) == 1:
        reason = "has one unit only, and one always stays"
    return Group(
        id=group_id,
        layer=layer,
        kind="head" if first in units.heads else "channel",
        units=len(family),
        members=members,
        prunable=not reason,
        reason=reason,
        exact=first not in units.mixed,
        note=units.mixed.get(first, ""),
    )


def _first_shape(shape: Any) -> tuple[int, ...]:
    """Return the shape of the first output of an operator that may have several."""
    return _first_shape(shape[0]) if shape and isinstance(shape[0], tuple) else shape


def _layers(model: nn.Module, trace: Trace) -> tuple[Layer, ...]:
    modules = dict(model.named_modules())
    params: dict[str, int] = {}
    for name, item in model.named_parameters(remove_duplicate=False):
        params[layer_of(name)] = params.get(layer_of(name), 0) + item.numel()
    layers: dict[str, Layer] = {}
    for product in trace.products:
        if not product.weight or layer_of(product.weight) in layers:
            continue
        name = layer_of(product.weight)
        module = modules.get(name, model)
        in_dim = _in_dim(trace, product)
        layers[name] = Layer(
            name=name,
            type=type(module).__name__ if name in modules else "Parameter",
            weight=product.weight,
            out_dim=1 - in_dim,
            in_dim=in_dim,
            groups=int(getattr(module, "groups", 1)),
            params=params.get(name, 0),
            output_shape=_first_shape(trace.shape(product.node))[1:],
        )
    return tuple(layers.values())


def _in_dim(trace: Trace, product: Product) -> int:
    """Return the dim of a product's weight by which it reads; the other one makes channels."""
    reads = [dim for dim in (0, 1) if "consumer" in trace.roles.get((product.weight, dim), {})]
    if len(reads) == 1:
        return reads[0]
    return 0 if operator_name(product.node).startswith("conv_transpose") else 1
