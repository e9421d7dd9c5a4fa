"""Structure trace: linear layers, matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, fx

from pruners.tracing.labels import narrowed, support
from pruners.tracing.trace import Axis, Product, Trace, axis_of, handles, operator_name
from pruners.tracing.values import Operand, Value, broadcast


def add_bias(trace: Trace, bias: Value | None, made: Tensor) -> None:
    """Unite a bias with the channels that it is added to."""
    line = trace.axis(bias, -1) if bias is not None else None
    if line is not None:
        trace.role(line, "bias")
        trace.labels.unite(line, made)


def read(
    trace: Trace,
    node: fx.Node,
    value: Value,
    weight: Value,
    columns: Tensor | None,
    dim: int,
    groups: int = 1,
) -> None:
    """Unite the columns of a weight with the channels that they read."""
    channels = trace.axis(value, dim)
    trace.role(columns, "consumer")
    if columns is None:
        if channels is not None:
            trace.labels.freeze(channels, f"is read as a whole by {trace.where(node)}")
    elif channels is None:
        trace.labels.freeze(columns, f"reads {value.reason or 'values without channels'}")
    else:
        if groups > 1:
            trace.labels.unite_along(channels.reshape(groups, -1), [0])
            if columns.numel() == channels.numel():
                trace.labels.unite(columns, channels)
            else:
                trace.labels.unite(columns, channels[: columns.numel()])
        else:
            trace.labels.unite(columns, channels)
        if not weight.direct:
            reason = f"read by {trace.where(node)} through weights that are computed"
            trace.labels.mix(channels, [0], reason)


def weight_of(node: fx.Node, trace: Trace) -> str:
    """Return the name of the parameter that the weight, or second factor, is or is computed from.

    A standardized or normalized weight is computed from several; the largest is the weight.
    """
    names: dict[str, int] = {}
    place = 2 if operator_name(node) in ("addmm", "baddbmm") else 1
    todo = [item for item in node.args[place : place + 1] if isinstance(item, fx.Node)]
    for item in todo:
        value = trace.values[item]
        if not isinstance(value, Value) or not value.weight:
            todo += [other for other in item.all_input_nodes if isinstance(value, tuple)]
        elif item.name in trace.graph.state:
            names[trace.graph.state[item.name]] = math.prod(value.shape)
        else:
            todo += item.all_input_nodes
    return max(names, key=lambda name: names[name], default="")


@handles("linear")
def linear(
    trace: Trace, node: fx.Node, value: Value, weight: Value, bias: Value | None = None
) -> Value:
    """Multiply the last dim by a weight (out, in)."""
    letters = _letters(len(value.shape) - 1)
    result = contract(trace, node, value, letters + "y", weight, "zy", letters + "z")
    made = trace.axis(weight, 0)
    if made is not None:
        add_bias(trace, bias, made)
    return result


@handles("addmm")
def addmm(trace: Trace, node: fx.Node, bias: Value, value: Value, weight: Value) -> Value:
    """Multiply two matrices and add a bias."""
    result = contract(trace, node, value, "ay", weight, "yz", "az")
    made = trace.axis(weight, 1)
    if made is not None and len(bias.shape) == 1:
        add_bias(trace, bias, made)
    return result


@handles("matmul", "mm", "bmm")
def matmul(trace: Trace, node: fx.Node, first: Value, second: Value) -> Value:
    """Multiply matrices of any leading dims."""
    if min(len(first.shape), len(second.shape)) < 2:
        values = [first, second]
        return trace.refuse(node, values, f"{trace.where(node)} multiplies a vector")
    letters = _letters(len(trace.shape(node)) - 2)
    one = letters[len(letters) - len(first.shape) + 2 :] + "xy"
    two = letters[len(letters) - len(second.shape) + 2 :] + "yz"
    return contract(trace, node, first, one, second, two, letters + "xz")


@handles("baddbmm")
def baddbmm(
    trace: Trace, node: fx.Node, added: Value, first: Value, second: Value, **kwargs: Any
) -> Value:
    """Multiply matrices of one leading dim and add a value."""
    made = contract(trace, node, first, "axy", second, "ayz", "axz")
    planes = trace.meet(node, [broadcast(item, made.shape) for item in (made, added)])
    return replace(made, planes=planes, weight=made.weight and added.weight)


@handles("_grouped_mm", "grouped_mm", "grouped_mm_fallback")
def grouped(trace: Trace, node: fx.Node, rows: Value, weight: Value, *args: Any, **kw: Any) -> Any:
    """Multiply each row by the matrix of its expert: the channels stay, the cost counts."""
    refused = trace.refuse(node, [rows, weight], f"operator {trace.where(node)} is not supported")
    axes = (*(Axis(size) for size in rows.shape), Axis(trace.shape(node)[-1]))
    trace.products.append(Product(node, "", axes))
    return refused


@handles("einsum")
def einsum(trace: Trace, node: fx.Node, equation: str, values: Sequence[Value]) -> Value:
    """Contract two values by letters."""
    inputs, _, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != 2 or "." in equation or not output or _repeats([*terms, output]):
        return trace.refuse(node, list(values), f"{trace.where(node)}: {equation} is not supported")
    return contract(trace, node, values[0], terms[0], values[1], terms[1], output)


def _repeats(terms: Sequence[str]) -> bool:
    return any(len(set(term)) != len(term) for term in terms)


def _letters(count: int) -> str:
    return "abcdefghijkl"[:count]


def contract(
    trace: Trace, node: fx.Node, first: Value, one: str, second: Value, two: str, output: str
) -> Value:
    """Multiply two values and sum over the letters that the output does not have.

    A letter that data shares with a weight makes the weight a consumer. A letter that two values
    of data share ties all positions along it: that is a head of attention.

    Args:
        trace: The trace.
        node: The operator.
        first: First factor.
        one: One letter for each of its dims.
        second: Second factor.
        two: One letter for each of its dims.
        output: One letter for each dim of the result.
    """
    shape = trace.shape(node)
    summed = [letter for letter in one if letter in two and letter not in output]
    _count_product(trace, node, first, one, second, two)
    if first.weight != second.weight:
        data, weight = (second, first) if first.weight else (first, second)
        data_letters, weight_letters = (two, one) if first.weight else (one, two)
        for letter in summed:
            columns = trace.axis(weight, weight_letters.index(letter))
            read(trace, node, data, weight, columns, data_letters.index(letter))
        for position, letter in enumerate(weight_letters):
            if letter not in data_letters:
                trace.role(trace.axis(weight, position), "producer")
    else:
        for letter in summed:
            _tie(trace, node, first, one, second, two, letter)
    is_read = first.weight != second.weight
    operands = [
        _operand(value, letters, output, shape, is_read=is_read)
        for value, letters in ((first, one), (second, two))
    ]
    if not first.weight and not second.weight:
        shared = {at for at, letter in enumerate(output) if letter in one and letter in two}
        _join_heads(trace, operands, shared)
    planes = trace.meet(node, operands)
    reason = second.reason if first.weight else first.reason
    return Value(shape, planes, reason=reason, weight=first.weight and second.weight)


def _tie(
    trace: Trace, node: fx.Node, first: Value, one: str, second: Value, two: str, letter: str
) -> None:
    """Tie all positions along a letter over which data is multiplied with data."""
    sides = [(first, one.index(letter)), (second, two.index(letter))]
    found = [value.along(dim) for value, dim in sides]
    for (_, dim), planes, (other, _), others in zip(
        sides, found, sides[::-1], found[::-1], strict=True
    ):
        for plane in planes:
            trace.labels.unite_along(plane, [dim])
            trace.labels.freeze_whole(plane, f"is summed as a whole in {trace.where(node)}")
            if not others:
                reason = other.reason or "values without channels"
                trace.labels.freeze(plane, f"is summed with {reason} in {trace.where(node)}")


def _join_heads(trace: Trace, operands: Sequence[Operand], shared: set[int]) -> None:
    """Tie all channels of a head: those that weigh its tokens and those that are weighed.

    Heads lie along dims of both factors. What only one has are tokens, or the channels that a
    single head weighs, each of its own.
    """
    for plane in operands[0].planes:
        for other in operands[1].planes:
            if support(plane) & support(other):
                trace.labels.unite(plane, other)
    for plane in (plane for operand in operands for plane in operand.planes):
        if support(plane) & shared:
            trace.labels.mark_heads(plane)


def _operand(
    value: Value, letters: str, output: str, shape: Sequence[int], *, is_read: bool
) -> Operand:
    """Bring one factor to the dims of the product.

    Dims that are summed over are cut. Planes along them end there if a weight reads them; the
    channels of heads that are multiplied with each other go on as heads.
    """
    kept = [letter for letter in output if letter in letters]
    order = [letters.index(letter) for letter in kept]
    order += [dim for dim, letter in enumerate(letters) if letter not in output]
    planes = []
    for plane in value.planes:
        if is_read and any(letters[dim] not in output for dim in support(plane)):
            continue
        small = narrowed(plane).permute(order)
        for dim in range(len(order) - 1, len(kept) - 1, -1):
            small = small.select(dim, 0)
        small = small.reshape([_size(small, kept, letter) for letter in output])
        if max((size for size in small.shape), default=1) > 1:
            planes.append(small.expand(tuple(shape)))
    varying = {output.index(letters[dim]) for dim in value.varying if letters[dim] in output}
    return Operand(tuple(planes), frozenset(varying), value.reason)


def _size(small: Tensor, kept: Sequence[str], letter: str) -> int:
    return small.shape[kept.index(letter)] if letter in kept else 1


def _count_product(
    trace: Trace, node: fx.Node, first: Value, one: str, second: Value, two: str
) -> None:
    axes = [axis_of(first, dim) for dim in range(len(one))]
    for dim, letter in enumerate(two):
        if letter not in one:
            axes.append(axis_of(second, dim))
        elif first.shape[one.index(letter)] == 1 or (
            not axes[one.index(letter)].planes and second.along(dim)
        ):
            axes[one.index(letter)] = axis_of(second, dim)
    trace.products.append(Product(node, weight_of(node, trace), tuple(axes)))
