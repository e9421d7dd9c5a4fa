"""Run a captured graph on labels instead of data.

Handlers of operators live in `pruners.tracing.operators.shapes` (moving and elementwise),
`pruners.tracing.operators.joins` (joining), `pruners.tracing.operators.reductions` (norms, sums,
pooling), `pruners.tracing.operators.products` (convolutions, linear layers, matrix products),
`pruners.tracing.operators.attention`, `pruners.tracing.operators.recurrent` and
`pruners.tracing.operators.tables` (embeddings). An operator without handler is named as the reason
why the channels that reach it cannot be removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from pruners.capture import Graph
from pruners.tracing.labels import Labels, narrowed, support
from pruners.tracing.values import Operand, Value, meet

Handler = Callable[..., Any]
HANDLERS: dict[str, Handler] = {}


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
        tables: Dims of parameters that make channels by being looked up, not multiplied by.
        splits: Planes that change along several dims; see `pruners.tracing.units`.
        refused: Operators that no handler could follow.
        unsized: Those among them whose sizes the data decide.
        strict: Raise what a handler raises, instead of keeping the channels that it was given.
    """

    graph: Graph
    labels: Labels = field(default_factory=Labels)
    values: dict[fx.Node, Any] = field(default_factory=dict)
    roles: dict[tuple[str, int], dict[str, None]] = field(default_factory=dict)
    products: list[Product] = field(default_factory=list)
    tables: set[tuple[str, int]] = field(default_factory=set)
    splits: list[Tensor] = field(default_factory=list)
    refused: set[fx.Node] = field(default_factory=set)
    unsized: set[fx.Node] = field(default_factory=set)
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
        self.refused.add(node)
        for value in values:
            for plane in value.planes:
                self.labels.freeze(plane, reason)
        is_weight = bool(values) and all(value.weight for value in values)
        return Value(self.shape(node), reason=reason, weight=is_weight)


def spread(value: Value, shape: Any) -> Any:
    """Turn the refused result of an operator with several outputs into several values."""
    if shape and isinstance(shape[0], tuple):
        return tuple(spread(Value(item, reason=value.reason), item) for item in shape)
    return value


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


def hint(value: Any) -> Any:
    """Return the number that a symbolic one has for the example batch; 1 where data decides it."""
    if isinstance(value, int | float | bool):
        return value
    return 1 if value.node.hint is None else value.node.hint


def _shape(value: Any) -> Any:
    if isinstance(value, Tensor):
        return tuple(int(hint(size)) for size in value.shape)
    if isinstance(value, list | tuple):
        return tuple(_shape(item) for item in value)
    return ()
