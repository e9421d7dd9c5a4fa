"""Residual branches, which can be left out as a whole.

A branch is what lies between a value and the sum that adds the value to it again: attention and MLP
of a transformer, the convolutions of a residual block with an identity skip. Without it the sum is
its skip. A block is all branches of one numbered module, as ``model.layers.3``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import getitem

from torch import fx

from pruners.layers import block_of, layer_of
from pruners.tracing import Trace, Value, operator_name

# What may stand between a layer that makes a branch's end and the sum: 0 stays 0.
_PASSING = frozenset(
    {"view", "_unsafe_view", "reshape", "permute", "transpose", "clone", "contiguous", "alias"}
    | {"dropout", "flatten", "slice", "roll", "detach", "_to_copy", "to", "unflatten"}
)
_LAYERS = frozenset({"linear", "addmm", "convolution", "conv1d", "conv2d", "conv3d", "layer_norm"})
_LAST = _LAYERS | {"batch_norm", "_native_batch_norm_legit_no_training", "native_layer_norm"}


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A residual branch.

    Attributes:
        name: What its layers have in common in their names.
        block: The numbered module that it belongs to.
        layers: Its layers in the order of execution.
        skip: The value that it starts from, and that stays without it.
        total: The sum of both.
        zeroed: Parameters that make it zero if they are; empty where none do alone.
    """

    name: str
    block: str
    layers: tuple[str, ...]
    skip: fx.Node
    total: fx.Node
    zeroed: tuple[str, ...]


def find_branches(trace: Trace, parameters: Mapping[str, tuple[int, ...]]) -> tuple[Branch, ...]:
    """Return the residual branches of a model that have layers and no branch within, in order.

    Args:
        trace: The traced graph.
        parameters: Shape of every parameter of the model, shared ones once.
    """
    graph = trace.graph
    weights = {product.node: product.weight for product in trace.products if product.weight}
    own = {name for name, shape in parameters.items() if shape}
    found: list[Branch] = []
    for node in graph.module.graph.nodes:
        ends = _ends(node, trace.values)
        inside = None if ends is None else _between(*ends, node)
        if ends is None or inside is None or any(item.total in inside for item in found):
            continue
        layers = dict.fromkeys(layer_of(weights[item]) for item in inside if item in weights)
        if layers:
            name = _common(list(layers))
            zeroed = _zeroed(ends[1], inside, graph.state, own)
            # A layer alone may be numbered itself.
            block = block_of(name if len(layers) == 1 else f"{name}.").rstrip(".")
            found.append(Branch(name, block, tuple(layers), ends[0], node, zeroed))
    # Where a block has branches beside, its own layers' branch has the name of its last layer.
    several = {item.block for item in found if item.name != item.block}
    return tuple(
        replace(item, name=item.layers[-1]) if item.name in several else item for item in found
    )


def _ends(node: fx.Node, values: Mapping[fx.Node, object]) -> tuple[fx.Node, fx.Node] | None:
    """Return skip and end of a branch if a node adds a value to what is made from it."""
    if node.op != "call_function" or operator_name(node) != "add" or len(node.args) < 2:
        return None
    first, second = node.args[:2]
    if not isinstance(first, fx.Node) or not isinstance(second, fx.Node):
        return None
    one, two, total = values[first], values[second], values[node]
    if not isinstance(one, Value) or not isinstance(two, Value) or not isinstance(total, Value):
        return None
    if one.weight or two.weight or not one.shape == two.shape == total.shape:
        return None
    if first in _ancestors(second):
        return first, second
    return (second, first) if second in _ancestors(first) else None


def _ancestors(node: fx.Node) -> set[fx.Node]:
    seen, todo = {node}, [node]
    while todo:
        for item in todo.pop().all_input_nodes:
            if item not in seen:
                seen.add(item)
                todo.append(item)
    return seen


def _between(skip: fx.Node, end: fx.Node, total: fx.Node) -> dict[fx.Node, None] | None:
    """Return the nodes on ways from skip to end, in order; None if one is used elsewhere."""
    above = _ancestors(end)
    inside: dict[fx.Node, None] = {}
    for node in skip.graph.nodes:
        if node in above and any(item is skip or item in inside for item in node.all_input_nodes):
            inside[node] = None
    closed = all(user is total or user in inside for node in inside for user in node.users)
    return inside if closed else None


def _zeroed(
    end: fx.Node, inside: Mapping[fx.Node, None], state: Mapping[str, str], own: set[str]
) -> tuple[str, ...]:
    """Return the parameters of the layer or norm that makes the end."""
    node = end
    while node in inside and (operator_name(node) in _PASSING or node.target is getitem):
        node = node.all_input_nodes[0]
    if node not in inside or operator_name(node) not in _LAST:
        return ()
    # A weight that is computed, as by weight norm, or kept in a buffer is not zeroed.
    holders = [item for item in _parameters(node) if isinstance(item, fx.Node)]
    zeroed = [state.get(item.name, "") for item in holders]
    is_own = all(name in own for name in zeroed) and all(len(item.users) == 1 for item in holders)
    return tuple(zeroed) if is_own else ()


def _parameters(node: fx.Node) -> Sequence[object]:
    """Return weight and bias of a layer or norm, as its operator takes them."""
    name = operator_name(node)
    if name == "addmm":
        return node.args[0], node.args[2]
    first = 2 if name in ("layer_norm", "native_layer_norm") else 1
    return node.args[first : first + 2]


def _common(names: Sequence[str]) -> str:
    parts = [name.split(".") for name in names]
    depth = 0
    while all(len(item) > depth and item[depth] == parts[0][depth] for item in parts):
        depth += 1
    return ".".join(parts[0][:depth])
