"""Write a captured graph anew for fewer channels.

The graph holds sizes that Python code computed: shapes of views, sizes of splits, groups of
depthwise convolutions. All of them follow from which positions stay along each dim.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, fx, nn

from pruners.batches import Lengths, length_words
from pruners.capture import Graph, device_of, first_names, make_on, named_state
from pruners.errors import UnsupportedError
from pruners.layers import layer_of
from pruners.tracing import Trace, Value, narrowed, operator_name

Rewrite = Callable[["Sizes", fx.Node, fx.Node], None]
_REWRITES: dict[str, Rewrite] = {}
aten = torch.ops.aten
REFUSE = aten._assert_scalar.default


def _rewrites(*names: str) -> Callable[[Rewrite], Rewrite]:
    def register(rewrite: Rewrite) -> Rewrite:
        for name in names:
            _REWRITES[name] = rewrite
        return rewrite

    return register


class Sizes:
    """How many positions stay along the dims of the graph's values.

    Args:
        trace: The traced graph.
        removed: Which labels are removed, ``(labels,)``.
    """

    def __init__(self, trace: Trace, removed: Tensor) -> None:
        self.trace = trace
        self.removed = removed

    def keep(self, value: Value, dim: int) -> Tensor | None:
        """Return which positions stay along a dim ``(size,)``; None if all do."""
        lost: Tensor | None = None
        for plane in value.along(dim):
            small = narrowed(plane)
            removed = self.removed[small].movedim(dim, 0).reshape(small.shape[dim], -1).all(1)
            lost = removed if lost is None else lost | removed
        return None if lost is None or not bool(lost.any()) else ~lost

    def size(self, value: Value, dim: int) -> int:
        """Return the number of positions that stay along a dim."""
        keep = self.keep(value, dim)
        return value.shape[dim] if keep is None else int(keep.sum())

    def shape(self, value: Value) -> tuple[int, ...]:
        """Return the shape that a value has after removal, with the example's batch."""
        return tuple(self.size(value, dim) for dim in range(len(value.shape)))

    def before(self, value: Value, dim: int, position: int) -> int:
        """Return how many positions stay before a position."""
        keep = self.keep(value, dim)
        size = value.shape[dim]
        position = min(max(position + size if position < 0 else position, 0), size)
        return position if keep is None else int(keep[:position].sum())


def sliced_state(trace: Trace, removed: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the parameters and buffers that removal changes, by first name, sliced."""
    sliced: dict[str, Tensor] = {}
    for name, dim, line in trace.labels.owners():
        lost = removed[line]
        if bool(lost.any()):
            tensor = sliced.get(name, tensors[name].detach())
            kept = torch.nonzero(~lost).reshape(-1).to(tensor.device)
            sliced[name] = tensor.index_select(dim, kept)
    return sliced


def unread(graph: Graph, skips: Mapping[fx.Node, fx.Node]) -> tuple[set[fx.Node], set[str]]:
    """Return which nodes, and which state by name, nothing reads where some nodes are skipped.

    State that nothing reads anyway goes with the module that holds it, as counts of batches do.

    Args:
        graph: The graph.
        skips: Node -> the one before it that takes its place.
    """
    left = _read(graph, skips)
    lost = _read(graph, {}) - left
    gone, stays = (
        {graph.state[node.name] for node in nodes if node.name in graph.state}
        for nodes in (lost, left)
    )
    gone -= stays
    holders = {layer_of(name) for name in gone} - {layer_of(name) for name in stays}
    idle = {name for name in graph.state.values() if layer_of(name) in holders}
    return lost, gone | idle - stays


def _read(graph: Graph, skips: Mapping[fx.Node, fx.Node]) -> set[fx.Node]:
    todo = [_output(node) for node in graph.module.graph.nodes if node.op == "output"]
    seen: set[fx.Node] = set()
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo += [skips[node]] if node in skips else node.all_input_nodes
    return seen


def rewritten(
    model: nn.Module,
    graph: Graph,
    trace: Trace,
    removed: Tensor,
    *,
    skips: Mapping[fx.Node, fx.Node],
) -> fx.GraphModule:
    """Return a module that computes the graph with fewer channels.

    Its parameters and buffers have the names that they have in ``model``; those that only skipped
    nodes read are gone.

    Args:
        model: The model that was traced.
        graph: Its graph.
        trace: The same, traced.
        removed: Which labels are removed, ``(labels,)``.
        skips: Node -> the one before it that takes its place.

    Raises:
        UnsupportedError: A size in the graph cannot be changed.
    """
    own, tensors = named_state(model), graph.tensors(model)
    state = {**tensors, **sliced_state(trace, removed, {**own, **tensors})}
    sizes = Sizes(trace, removed)
    new = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    root = nn.Module()
    _place_several(new, graph, copies)
    unchecked = dict(graph.lengths)
    for node in graph.module.graph.nodes:
        if node in copies:
            continue
        if node.op == "placeholder" and node.name in graph.state:
            name = graph.state[node.name]
            _register(root, name, state[name], own.get(name))
            copies[node] = new.get_attr(name)
        elif node.op == "get_attr":
            # A graph within the graph; the channels that it reads stay.
            part = getattr(graph.module, str(node.target))
            root.add_module(str(node.target), deepcopy(part))
            copies[node] = new.get_attr(str(node.target))
        elif node in skips:
            copies[node] = copies[skips[node]]
        elif node.op == "output":
            copies[node] = new.output(copies[_output(node)])
        else:
            for name in [item.name for item in node.all_input_nodes if item.name in unchecked]:
                _check_length(new, copies, node, name, unchecked.pop(name))
            copies[node] = new.node_copy(node, lambda item: copies[item])
            rewrite = _REWRITES.get(operator_name(node)) if node.op == "call_function" else None
            if rewrite is not None:
                rewrite(sizes, node, copies[node])
    # The graph is functional: what nobody reads does nothing, attention with its dropout included.
    new.eliminate_dead_code(
        is_impure_node=lambda node: node.op in ("placeholder", "output") or node.target == REFUSE
    )
    smaller = fx.GraphModule(root, new, type(model).__name__)
    make_on(smaller, device_of(model))
    _keep_unread(smaller, model, but=unread(graph, skips)[1])
    return smaller


def _check_length(
    new: fx.Graph,
    copies: Mapping[fx.Node, fx.Node],
    reader: fx.Node,
    name: str,
    lengths: Lengths,
) -> None:
    """Refuse texts of other lengths: for them the model does other things than the graph."""
    source = next(copies[item] for item in reader.all_input_nodes if item.name == name)
    size = new.call_function(aten.sym_size.int, (source, 1))
    for limit, holds in zip(lengths, (operator.ge, operator.le), strict=True):
        if limit is not None:
            told = f"this smaller model takes texts of {length_words(lengths)}"
            new.call_function(REFUSE, (new.call_function(holds, (size, limit)), told))


def _place_several(new: fx.Graph, graph: Graph, copies: dict[fx.Node, fx.Node]) -> None:
    """Let the module take `Tensors` where the model does."""
    if not graph.is_of_several:
        return
    by_name = {node.name: node for node in graph.module.graph.nodes}
    parts = new.call_function(getattr, (new.placeholder("inputs"), "parts"))
    for at, name in enumerate(graph.inputs):
        copies[by_name[name]] = new.call_function(operator.getitem, (parts, at))


def _keep_unread(smaller: nn.Module, model: nn.Module, *, but: set[str]) -> None:
    """Register what the graph never reads, but what went: it is part of the model all the same."""
    own, read = named_state(model), named_state(smaller)
    for name, first in first_names(model).items():
        if name == first and name not in read and name not in but:
            _register(smaller, name, own[name], own[name])


def _output(node: fx.Node) -> fx.Node:
    item: Any = node.args[0]
    while isinstance(item, list | tuple):
        item = item[0]
    assert isinstance(item, fx.Node)
    return item


def _register(root: nn.Module, name: str, tensor: Tensor, original: Tensor | None) -> None:
    *path, last = name.split(".")
    holder = root
    for part in path:
        if part not in holder._modules:
            holder.add_module(part, nn.Module())
        holder = holder.get_submodule(part)
    if isinstance(original, nn.Parameter):
        copy = nn.Parameter(tensor.detach().clone(), requires_grad=original.requires_grad)
        holder.register_parameter(last, copy)
    else:
        holder.register_buffer(last, tensor.detach().clone())


def _value(sizes: Sizes, node: fx.Node) -> Value:
    value = sizes.trace.values[node]
    assert isinstance(value, Value)
    return value


def _source(sizes: Sizes, node: fx.Node) -> Value:
    source = node.args[0]
    assert isinstance(source, fx.Node)
    return _value(sizes, source)


def _set(copy: fx.Node, position: int, argument: Any) -> None:
    copy.args = (*copy.args[:position], argument, *copy.args[position + 1 :])


@_rewrites("view", "_unsafe_view", "reshape", "expand")
def _view(sizes: Sizes, node: fx.Node, copy: fx.Node) -> None:
    value = _value(sizes, node)
    if operator_name(node) in ("view", "_unsafe_view"):
        # Whether a view can be taken depends on the attention kernel that ran before.
        copy.target = aten.reshape.default
    old = list(copy.args[1])  # type: ignore[arg-type]
    new: list[Any] = []
    for dim, (asked, size) in enumerate(zip(old, sizes.shape(value), strict=True)):
        if size == value.shape[dim] or asked == -1:
            new.append(asked)
        elif isinstance(asked, int):
            new.append(size)
        else:
            new.append(-1)
    if new.count(-1) > 1 and operator_name(node) != "expand":
        raise UnsupportedError(f"{sizes.trace.where(node)}: two sizes depend on what is removed")
    _set(copy, 1, new)


@_rewrites("split", "split_with_sizes", "chunk")
def _split(sizes: Sizes, node: fx.Node, copy: fx.Node) -> None:
    dim = node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", 0)
    assert isinstance(dim, int)
    source = _source(sizes, node)
    dim %= len(source.shape)
    keep = sizes.keep(source, dim)
    if keep is None:
        return
    widths = [shape[dim] for shape in sizes.trace.shape(node)]
    counts = [int(part.sum()) for part in torch.split(keep, widths)]
    copy.target = aten.split_with_sizes.default
    copy.args = (copy.args[0], counts, dim)
    copy.kwargs = {}


@_rewrites("squeeze", "squeeze_copy")
def _squeeze(sizes: Sizes, node: fx.Node, copy: fx.Node) -> None:
    """Name the dims that go: one that is left with a single channel is none of them."""
    shape = _source(sizes, node).shape
    asked: Any = copy.args[1] if len(copy.args) > 1 else range(len(shape))
    dims = [asked] if isinstance(asked, int) else asked
    copy.target = aten.squeeze.dims
    copy.args, copy.kwargs = (copy.args[0], [dim for dim in dims if shape[dim] == 1]), {}


@_rewrites("slice", "narrow")
def _slice(sizes: Sizes, node: fx.Node, copy: fx.Node) -> None:
    names = ("self", "dim", "start", "end", "step")
    given: dict[str, Any] = {**dict(zip(names, copy.args, strict=False)), **copy.kwargs}
    source = _source(sizes, node)
    dim = int(given.get("dim", 0)) % len(source.shape)
    if sizes.keep(source, dim) is None:
        return
    start, end = given.get("start") or 0, given.get("end")
    end = source.shape[dim] if end is None else end
    if given.get("step", 1) != 1 or not isinstance(start, int) or not isinstance(end, int):
        raise UnsupportedError(f"{sizes.trace.where(node)} takes every n-th channel")
    first, last = sizes.before(source, dim, start), sizes.before(source, dim, end)
    copy.args, copy.kwargs = (copy.args[0], dim, first, last), {}


@_rewrites("slice_scatter")
def _slice_scatter(sizes: Sizes, node: fx.Node, copy: fx.Node) -> None:
    given: dict[str, Any] = dict(zip(("dim", "start", "end", "step"), copy.args[2:], strict=False))
    given |= copy.kwargs
    source = _source(sizes, node)
    dim = int(given.get("dim", 0)) % len(source.shape)
    if sizes.keep(source, dim) is None:
        return
    start, end = given.get("start") or 0, given.get("end")
    end = source.shape[dim] if end is None else end
    if given.get("step", 1) != 1 or not isinstance(start, int) or not isinstance(end, int):
        raise UnsupportedError(f"{sizes.trace.where(node)} overwrites every n-th channel")
    first, last = sizes.before(source, dim, start), sizes.before(source, dim, end)
    copy.args, copy.kwargs = (*copy.args[:2], dim, first, last), {}


@_rewrites("select")
def _select(sizes: Sizes, node: fx.Node, copy: fx.Node) -> None:
    source = _source(sizes, node)
    dim, position = copy.args[1], copy.args[2]
    if isinstance(dim, int) and isinstance(position, int):
        dim %= len(source.shape)
        if sizes.keep(source, dim) is not None:
            _set(copy, 2, sizes.before(source, dim, position))


@_rewrites("layer_norm", "native_layer_norm", "rms_norm")
def _layer_norm(sizes: Sizes, node: fx.Node, copy: fx.Node) -> None:
    source = _source(sizes, node)
    count = len(copy.args[1])  # type: ignore[arg-type]
    _set(copy, 1, list(sizes.shape(source)[-count:]))


@_rewrites("group_norm")
def _group_norm(sizes: Sizes, node: fx.Node, copy: fx.Node) -> None:
    """Give a norm of single channels as many groups as channels; others keep theirs."""
    source = _source(sizes, node)
    if copy.args[1] == source.shape[1]:
        _set(copy, 1, sizes.size(source, 1))


@_rewrites("conv1d", "conv2d", "conv3d")
def _conv(sizes: Sizes, node: fx.Node, copy: fx.Node) -> None:
    _depthwise_groups(sizes, node, copy, 6)


@_rewrites("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(sizes: Sizes, node: fx.Node, copy: fx.Node) -> None:
    _depthwise_groups(sizes, node, copy, 6)


@_rewrites("convolution")
def _convolution(sizes: Sizes, node: fx.Node, copy: fx.Node) -> None:
    _depthwise_groups(sizes, node, copy, 8)


def _depthwise_groups(sizes: Sizes, node: fx.Node, copy: fx.Node, position: int) -> None:
    """Give a depthwise convolution as many groups as channels; others keep theirs."""
    if len(copy.args) <= position or copy.args[position] == 1:
        return
    source = _source(sizes, node)
    weight = node.args[1]
    assert isinstance(weight, fx.Node)
    channel_dim = len(source.shape) - len(_value(sizes, weight).shape) + 1
    if source.shape[channel_dim] == copy.args[position]:
        _set(copy, position, sizes.size(source, channel_dim))
