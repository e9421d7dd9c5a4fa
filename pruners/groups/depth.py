"""Depth: residual branches, and blocks of them, that can be left out as a whole.

A branch is what lies between a value and the sum that adds the value to it again: attention and MLP
of a transformer, the convolutions of a residual block with an identity skip. Without it the sum is
its skip. A block is all branches of one numbered module, as ``model.layers.3``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import getitem

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from pruners.batches import Inputs, parts_of
from pruners.errors import InputError, UnknownNameError
from pruners.float32 import strict
from pruners.groups.graph_rewrite import without_branches
from pruners.groups.groups import Structure, layer_of
from pruners.layers import block_of
from pruners.tracing import Value, operator_name

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


def find_branches(model: nn.Module, structure: Structure) -> tuple[Branch, ...]:
    """Return the residual branches of a model that have layers and no branch within, in order."""
    trace = structure.trace
    graph = trace.graph
    weights = {product.node: product.weight for product in trace.products if product.weight}
    own = {name for name, _ in model.named_parameters()}
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
            block = block_of(f"{name}.")
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
    holders = [item for item in node.all_input_nodes if item.name in state]
    names = [state[item.name] for item in holders if state[item.name] in own]
    shared = any(len(item.users) > 1 for item in holders if state[item.name] in own)
    return () if shared else tuple(names)


def _common(names: Sequence[str]) -> str:
    parts = [name.split(".") for name in names]
    depth = 0
    while all(len(item) > depth and item[depth] == parts[0][depth] for item in parts):
        depth += 1
    return ".".join(parts[0][:depth])


def chosen_branches(branches: Iterable[Branch], names: Iterable[str]) -> tuple[Branch, ...]:
    """Return the branches of some names, of branches or of blocks.

    Raises:
        UnknownNameError: There is none of a name.
    """
    known = {item: None for branch in branches for item in (branch.name, branch.block)}
    asked = dict.fromkeys(names)
    for name in asked:
        if name not in known:
            raise UnknownNameError("branch or block", name, list(known))
    return tuple(item for item in branches if {item.name, item.block} & asked.keys())


def depth_edit(lost: Iterable[Branch], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the edit that leaves branches out: parameters of zeros.

    Raises:
        InputError: A branch has no parameters that make it zero.
    """
    edit = {}
    for branch in lost:
        if not branch.zeroed:
            raise InputError(f"branch {branch.name} ends in no layer, so it is only removed")
        edit.update({name: torch.zeros_like(state[name]) for name in branch.zeroed})
    return edit


def remove_branches(model: nn.Module, structure: Structure, lost: Iterable[Branch]) -> nn.Module:
    """Return the captured graph without branches and without their parameters.

    Args:
        model: The model; it is left as found.
        structure: Its structure.
        lost: Branches of `find_branches`.
    """
    skips = {branch.total: branch.skip for branch in lost}
    return without_branches(model, structure.trace, skips)


@strict
def block_influence(
    model: nn.Module,
    structure: Structure,
    branches: Sequence[Branch],
    batches: Iterable[tuple[Inputs, Tensor | None]],
) -> dict[str, float]:
    """Return ``1 - E[cos(h_before, h_after)]`` of each branch and block, by name.

    The mean is over all tokens, or positions, of all samples.

    References:
        Men et al.: ShortGPT: Layers in Large Language Models are More Redundant Than You Expect.
        2024, arXiv:2403.03853, equation 1.

    Raises:
        InputError: There are no batches.
    """
    ends: dict[str, tuple[fx.Node, fx.Node]] = {}
    for branch in branches:
        ends[branch.name] = (branch.skip, branch.total)
    blocks: dict[str, tuple[fx.Node, fx.Node]] = {}
    for branch in branches:
        blocks[branch.block] = (blocks.get(branch.block, (branch.skip,))[0], branch.total)
    ends |= blocks
    watched = {node for pair in ends.values() for node in pair}
    sums, count = dict.fromkeys(ends, 0.0), 0
    for inputs, _ in batches:
        values = _values(model, structure, inputs, watched)
        count += len(inputs)
        for name, (before, after) in ends.items():
            sums[name] += _dissimilarity(values[before], values[after]) * len(inputs)
    if not count:
        raise InputError("block influence needs calibration data; there is none")
    return {name: total / count for name, total in sums.items()}


def _dissimilarity(before: Tensor, after: Tensor) -> float:
    dim = 1 if before.dim() == 4 else -1
    return 1 - float(F.cosine_similarity(before.double(), after.double(), dim=dim).mean())


class _Watch(fx.Interpreter):
    """Runs a graph and keeps some of its values."""

    def __init__(self, module: fx.GraphModule, watched: set[fx.Node]) -> None:
        super().__init__(module)
        self._watched, self.found = watched, dict[fx.Node, Tensor]()

    def run_node(self, n: fx.Node) -> object:
        """Run one node."""
        result = super().run_node(n)
        if n in self._watched and isinstance(result, Tensor):
            self.found[n] = result
        return result


def _values(
    model: nn.Module, structure: Structure, inputs: Inputs, watched: set[fx.Node]
) -> dict[fx.Node, Tensor]:
    graph = structure.trace.graph
    tensors, given = graph.tensors(model), dict(zip(graph.inputs, parts_of(inputs), strict=True))
    arguments = [
        tensors[graph.state[node.name]] if node.name in graph.state else given[node.name]
        for node in graph.module.graph.nodes
        if node.op == "placeholder"
    ]
    watch = _Watch(graph.module, watched)
    with torch.no_grad():
        watch.run(*arguments)
    return watch.found
