"""Run a captured graph on labels instead of data.

Handlers of operators live in `pruners.structure_shapes` (moving and elementwise),
`pruners.structure_joins` (joining), `pruners.structure_reductions` (norms, sums, pooling),
`pruners.structure_products` (convolutions, linear layers, matrix products),
`pruners.structure_attention` and `pruners.structure_recurrent`. An operator without handler is
named as the reason why the channels that reach it cannot be removed.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from pruners.graph import Graph
from pruners.labels import Labels, narrowed, support
from pruners.structure_values import Operand, Value, meet

Handler = Callable[..., Any]
HANDLERS: dict[str, Handler] = {}

# Constants of the code up to this size are computed, so that indexing by them can be followed.
CONSTANT_LIMIT = 2**24


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register a handler ``(trace, node, *args, **kwargs) -> Value(s)`` of ATen operators."""

    def register(handler: Handler) -> Handler:
        for name in names:
            assert name not in HANDLERS, name
            HANDLERS[name] = handler
        return handler

    return register


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One factor of a product's cost: a size, and the planes whose removal shrinks it."""

    size: int
    planes: tuple[Tensor, ...] = ()
    dim: int = 0


def axis_of(value: Value, dim: int) -> Axis:
    """Return a dim of a value as an axis of a product: its size and who shares it."""
    found = value.along(dim)
    return Axis(value.shape[dim], tuple(found), dim)


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A convolution, linear layer or matrix product; its MACs are the product of its axes."""

    node: fx.Node
    weight: str
    axes: tuple[Axis, ...]


@dataclass(eq=False)
class Trace:
    """The labels of every value of a graph.

    Attributes:
        graph: The captured model.
        labels: Labels and their relations.
        values: What each node yields: a `Value`, a tuple of them, or a number.
        roles: What each dim of a parameter is used as, in execution order.
        products: The products in execution order.
        splits: Planes that change along several dims; see `pruners.structure_units`.
        strict: Raise what a handler raises, instead of keeping the channels that it was given.
    """

    graph: Graph
    labels: Labels = field(default_factory=Labels)
    values: dict[fx.Node, Any] = field(default_factory=dict)
    roles: dict[tuple[str, int], dict[str, None]] = field(default_factory=dict)
    products: list[Product] = field(default_factory=list)
    splits: list[Tensor] = field(default_factory=list)
    strict: bool = False

    def shape(self, node: fx.Node) -> Any:
        """Return the shape of a node's value, or a tuple of shapes."""
        return _shape(node.meta.get("val"))

    def where(self, node: fx.Node) -> str:
        """Name an operator and its module for people."""
        module = module_of(node)
        name = operator_name(node)
        return f"{name} of {module}" if module else name

    def meet(self, node: fx.Node, operands: list[Operand]) -> tuple[Tensor, ...]:
        """Unite operands that meet elementwise; return the planes of the result."""
        return meet(self.labels, operands, self.where(node))

    def axis(self, value: Value, dim: int) -> Tensor | None:
        """Return one label per position along a dim ``(size,)``, uniting those that share one."""
        dim %= len(value.shape)
        found: Tensor | None = None
        for plane in value.along(dim):
            self.labels.unite_along(plane, support(plane) - {dim})
            line = narrowed(plane, keep={dim}).reshape(-1)
            if found is not None:
                self.labels.unite(found, line)
            found = line
        return found

    def role(self, labels: Tensor | None, role: str) -> None:
        """Note what the dims that some labels belong to are used as."""
        if labels is None or not labels.numel():
            return
        for key in self.labels.owners_of(labels):
            if not key[0].startswith("#"):
                self.roles.setdefault(key, {}).setdefault(role)

    def refuse(self, node: fx.Node, values: list[Value], reason: str) -> Value:
        """Freeze all channels of some values; return a result that carries none."""
        for value in values:
            for plane in value.planes:
                self.labels.freeze(plane, reason)
        is_weight = bool(values) and all(value.weight for value in values)
        return Value(self.shape(node), reason=reason, weight=is_weight)


def run_trace(model: nn.Module, graph: Graph, *, strict: bool = False) -> Trace:
    """Run the graph of ``model`` on labels; see `Trace.strict`."""
    import pruners.structure_attention
    import pruners.structure_joins
    import pruners.structure_products
    import pruners.structure_recurrent
    import pruners.structure_reductions
    import pruners.structure_shapes  # noqa: F401  (importing registers the handlers)

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
        trace.labels.freeze(plane, "is the network's output")
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
        return _hint(node.meta["val"])
    handler = HANDLERS.get(operator_name(node))
    if not isinstance(node.target, torch._ops.OpOverload) or "val" not in node.meta:
        return _refused(trace, node, f"{operator_name(node)} is not supported")
    if _depends_on_data(node.meta["val"]):
        reason = f"{trace.where(node)} yields as much as the data says"
        return _refused(trace, node, reason)
    try:
        constant = _constant(trace, node)
        if constant is not None:
            return Value(trace.shape(node), reason="a constant of the code", constant=constant)
        if handler is None:
            return _refused(trace, node, f"operator {trace.where(node)} is not supported")
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda item: trace.values[item])
        result = handler(trace, node, *args, **kwargs)
    except Exception as error:
        # A form of the operator that the handler does not know. The channels stay.
        if trace.strict:
            raise
        reason = f"{trace.where(node)} cannot be followed ({type(error).__name__})"
        return _refused(trace, node, reason)
    for value in result if isinstance(result, tuple) else (result,):
        trace.splits += [plane for plane in value.planes if len(support(plane)) > 1]
    return result


def _refused(trace: Trace, node: fx.Node, reason: str) -> Any:
    """Freeze all channels that an operator reads; return what it yields, without channels."""
    refused = trace.refuse(node, list(values_in(node, trace)), reason)
    return spread(refused, trace.shape(node))


def spread(value: Value, shape: Any) -> Any:
    """Turn the refused result of an operator with several outputs into several values."""
    if shape and isinstance(shape[0], tuple):
        return tuple(spread(Value(item, reason=value.reason), item) for item in shape)
    return value


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


def values_in(node: fx.Node, trace: Trace) -> Iterator[Value]:
    """Yield the tensor arguments of a node."""
    for item in node.all_input_nodes:
        yield from _tensors_of(trace.values[item])


def _tensors_of(value: Any) -> Iterator[Value]:
    if isinstance(value, Value):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _tensors_of(item)


def operator_name(node: fx.Node) -> str:
    """Return the short name of an ATen operator, such as ``conv2d``."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return str(target.overloadpacket.__name__)
    return str(target)


def module_of(node: fx.Node) -> str:
    """Return the name of the module whose forward pass made the node; ``""`` is the model."""
    stack = node.meta.get("nn_module_stack") or {}
    names = [entry[0] for entry in stack.values()]
    return str(names[-1]) if names else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | bool | torch.SymInt | torch.SymFloat | torch.SymBool)


def _hint(value: Any) -> Any:
    """Return the number that a symbolic one has for the example batch; 1 where data decides it."""
    if isinstance(value, int | float | bool):
        return value
    return 1 if value.node.hint is None else value.node.hint


def _depends_on_data(value: Any) -> bool:
    """Return whether the size of a value is known only when the model is run."""
    if isinstance(value, list | tuple):
        return any(_depends_on_data(item) for item in value)
    sizes: Sequence[Any] = value.shape if isinstance(value, Tensor) else ()
    return any(isinstance(size, torch.SymInt) and size.node.hint is None for size in sizes)


def _shape(value: Any) -> Any:
    if isinstance(value, Tensor):
        return tuple(int(_hint(size)) for size in value.shape)
    if isinstance(value, list | tuple):
        return tuple(_shape(item) for item in value)
    return ()
