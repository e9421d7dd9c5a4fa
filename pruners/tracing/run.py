"""Run a captured graph on labels."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from pruners.capture import Graph
from pruners.tracing import operators  # noqa: F401  (importing registers the handlers)
from pruners.tracing.counting import count_unread
from pruners.tracing.labels import support
from pruners.tracing.trace import HANDLERS, Trace, hint, operator_name, spread, values_in
from pruners.tracing.values import Value

# Constants of the code up to this size are computed, so that indexing by them can be followed.
CONSTANT_LIMIT = 2**24
# Why nothing is removed from what the network returns: true of every network.
OUTPUT_REASON = "is the network's output"


def run_trace(model: nn.Module, graph: Graph, *, strict: bool = False) -> Trace:
    """Run the graph of ``model`` on labels; see `Trace.strict`."""
    trace = Trace(graph, strict=strict)
    tensors = graph.tensors(model)
    for node in graph.module.graph.nodes:
        if node.op == "placeholder":
            trace.values[node] = _placeholder(trace, node, tensors)
        elif node.op == "call_function":
            trace.values[node] = _call(trace, node)
        elif node.op == "get_attr":
            trace.values[node] = Value((), reason=f"the sub-graph {node.target}")
    output = next(node for node in trace.values if node.name == graph.output)
    for plane in trace.values[output].planes:
        trace.labels.freeze(plane, OUTPUT_REASON)
    return trace


def _placeholder(trace: Trace, node: fx.Node, tensors: Mapping[str, Tensor]) -> Value:
    graph = trace.graph
    shape = trace.shape(node)
    if node.name not in graph.state:
        return Value(shape, reason="the network's input")
    name = graph.state[node.name]
    tensor = tensors[name]
    # Labels are on the CPU, and so is what they are indexed by.
    if name in graph.constants:
        return Value(shape, reason="a constant of the code", constant=tensor.cpu())
    if not tensor.is_floating_point():
        return Value(shape, reason=f"the buffer {name}", constant=tensor.cpu(), weight=True)
    planes = []
    for dim, size in enumerate(shape):
        if size > 1:
            line = trace.labels.of(name, dim, size)
            planes.append(line.reshape([-1 if i == dim else 1 for i in range(len(shape))]))
    expanded = tuple(plane.expand(shape) for plane in planes)
    return Value(shape, expanded, reason=f"the parameter {name}", weight=True, direct=True)


def _call(trace: Trace, node: fx.Node) -> Any:
    if node.target is operator.getitem:
        source, index = node.args
        assert isinstance(source, fx.Node)
        assert isinstance(index, int)
        whole = trace.values[source]
        return whole[index] if isinstance(whole, tuple) else whole
    if _is_number(node.meta.get("val")):
        return hint(node.meta["val"])
    if reason := _unreadable(trace, node):
        return _refused(trace, node, reason)
    before = len(trace.products)
    try:
        result = _followed(trace, node)
    except Exception as error:
        # A form of the operator that the handler does not know. The channels stay.
        if trace.strict:
            raise
        reason = f"{trace.where(node)} cannot be followed ({type(error).__name__})"
        del trace.products[before:]
        result = _refused(trace, node, reason)
    if node in trace.refused and len(trace.products) == before:
        count_unread(trace, node)
    for value in result if isinstance(result, tuple) else (result,):
        trace.splits += [plane for plane in value.planes if len(support(plane)) > 1]
    return result


def _followed(trace: Trace, node: fx.Node) -> Any:
    constant = _constant(trace, node)
    if constant is not None and operator_name(node) != "expand":
        return Value(trace.shape(node), reason="a constant of the code", constant=constant)
    handler = HANDLERS.get(operator_name(node))
    if handler is None:
        return _refused(trace, node, f"operator {trace.where(node)} is not supported")
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda item: trace.values[item])
    result = handler(trace, node, *args, **kwargs)
    # How often a constant is repeated follows from what it meets.
    return result if constant is None else replace(result, constant=constant)


def _unreadable(trace: Trace, node: fx.Node) -> str:
    """Return why no handler could read a node, or nothing."""
    if not isinstance(node.target, torch._ops.OpOverload) or "val" not in node.meta:
        return f"{operator_name(node)} is not supported"
    if _depends_on_data(node.meta["val"]):
        trace.unsized.add(node)
        return f"{trace.where(node)} yields as much as the data says"
    if any(_depends_on_data(item.meta.get("val")) for item in node.all_input_nodes):
        trace.unsized.add(node)
        return f"{trace.where(node)} reads as much as the data says"
    # Joins leave out what is empty, as `torch.empty(0)` at the begin of a loop.
    if operator_name(node) != "cat" and any(0 in value.shape for value in values_in(node, trace)):
        return f"{trace.where(node)} reads a tensor without elements"
    return ""


def _refused(trace: Trace, node: fx.Node, reason: str) -> Any:
    """Freeze all channels that an operator reads; return what it yields, without channels."""
    refused = trace.refuse(node, list(values_in(node, trace)), reason)
    return spread(refused, trace.shape(node))


def _constant(trace: Trace, node: fx.Node) -> Tensor | None:
    """Compute a node that depends on no data and no floating-point parameter."""
    values = list(values_in(node, trace))
    if any(value.constant is None for value in values):
        return None
    shape = trace.shape(node)
    if not isinstance(node.meta["val"], Tensor) or math.prod(shape) > CONSTANT_LIMIT:
        return None
    if _is_random(node):
        return None

    def resolve(item: fx.Node) -> Any:
        value = trace.values[item]
        return value.constant if isinstance(value, Value) else value

    args, kwargs = fx.node.map_arg((node.args, node.kwargs), resolve)
    assert callable(node.target)
    result = node.target(*args, **kwargs)
    return result.cpu() if isinstance(result, Tensor) else None


def _is_random(node: fx.Node) -> bool:
    target = node.target
    return (
        isinstance(target, torch._ops.OpOverload)
        and torch.Tag.nondeterministic_seeded in target.tags
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | bool | torch.SymInt | torch.SymFloat | torch.SymBool)


def _depends_on_data(value: Any) -> bool:
    """Return whether the size of a value is known only when the model is run."""
    if isinstance(value, list | tuple):
        return any(_depends_on_data(item) for item in value)
    sizes: Sequence[Any] = value.shape if isinstance(value, Tensor) else ()
    return any(isinstance(size, torch.SymInt) and size.node.hint is None for size in sizes)
