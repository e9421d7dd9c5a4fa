"""Structure trace: operators that move values, and elementwise ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from pruners.tracing.labels import compact, support, without_staying
from pruners.tracing.trace import Trace, handles, operator_name
from pruners.tracing.values import Value, broadcast

# fmt: off
_ELEMENTWISE = (
    "abs", "add", "addcdiv", "addcmul", "bitwise_and", "bitwise_not", "bitwise_or", "ceil",
    "celu", "clamp", "clamp_max", "clamp_min", "clone", "contiguous", "cos", "detach", "div",
    "dropout", "elu", "eq", "erf", "exp", "expm1", "floor", "ge", "gelu", "gt", "hardsigmoid",
    "hardswish", "hardtanh", "isinf", "isnan", "leaky_relu", "le", "lerp", "lift_fresh_copy",
    "log", "log1p", "log_sigmoid", "logical_and", "logical_not", "logical_or", "lt",
    "masked_fill", "maximum", "minimum", "mish", "mul", "ne", "neg", "pow", "reciprocal", "relu",
    "relu6", "remainder", "round", "rsqrt", "rsub", "selu", "sigmoid", "sign", "silu", "sin",
    "softplus", "softsign", "sqrt", "square", "sub", "tanh", "threshold", "to", "where", "xlogy",
    "_to_copy", "alias", "feature_dropout", "alpha_dropout", "hardshrink", "softshrink",
    "tanhshrink", "absolute", "atan", "atan2", "clip", "cosh", "divide", "erfc", "exp2", "fmod",
    "floor_divide", "isfinite", "log10", "log2", "logaddexp", "logical_xor", "multiply",
    "nan_to_num", "negative", "sgn", "sinh", "subtract", "tan", "true_divide", "trunc",
)
# fmt: on


@handles(*_ELEMENTWISE)
def elementwise(trace: Trace, node: fx.Node, *args: Any, **kwargs: Any) -> Value:
    """Unite the channels of all operands, position by position."""
    values = [item for item in (*args, *kwargs.values()) if isinstance(item, Value)]
    shape = trace.shape(node)
    operands = [broadcast(value, shape) for value in values]
    planes = trace.meet(node, operands)
    uniform = frozenset(range(len(shape))).difference(*(item.varying for item in operands))
    first = values[0]
    is_copy = len(values) == 1 and shape == first.shape
    return Value(
        shape,
        planes,
        uniform=uniform if is_copy else frozenset(),
        reason=next((value.reason for value in values if not value.weight), first.reason),
        weight=all(value.weight for value in values),
        direct=first.direct and operator_name(node) in _COPIES,
    )


# What these do to a weight, they do to each of its elements alone, and 0 stays 0.
_COPIES = frozenset({"clone", "contiguous", "detach", "alias", "to", "_to_copy", "type_as"})


@handles("type_as")
def type_as(trace: Trace, node: fx.Node, value: Value, other: Value) -> Value:
    """Cast to the type of another tensor, of which nothing else is read."""
    return replace(value, constant=None)


@handles("prelu", "_prelu_kernel")
def prelu(trace: Trace, node: fx.Node, value: Value, weight: Value) -> Value:
    """A slope for each channel, or one for all."""
    slope = trace.axis(weight, -1) if weight.shape and max(weight.shape) > 1 else None
    channels = trace.axis(value, 1)
    if slope is not None and channels is not None:
        trace.labels.unite(slope, channels)
    elif slope is not None:
        trace.labels.freeze(slope, f"meets {value.reason} in {trace.where(node)}")
    return replace(value, direct=False, constant=None)


@handles(
    "new_zeros",
    "new_ones",
    "new_full",
    "new_empty",
    "empty",
    "zeros",
    "ones",
    "full",
    "arange",
    "rand",
    "randn",
    "scalar_tensor",
)
def constant(trace: Trace, node: fx.Node, *args: Any, **kwargs: Any) -> Value:
    """A value without channels, of a size that the code tells."""
    return Value(trace.shape(node), reason="a constant of the code")


@handles("fill", "zero", "zeros_like", "ones_like", "full_like", "empty_like")
def overwritten(trace: Trace, node: fx.Node, value: Value, *args: Any, **kwargs: Any) -> Value:
    """Give every position the same value; the positions stay those of the channels."""
    uniform = frozenset(range(len(value.shape)))
    return replace(value, uniform=uniform, direct=False, constant=None)


@handles("view", "_unsafe_view", "reshape", "flatten", "unflatten", "view_copy")
def view(trace: Trace, node: fx.Node, value: Value, *args: Any, **kwargs: Any) -> Value:
    """Reshape the labels as the data.

    Copies that are put beside channels in one dim, as keys are for several query heads, go with
    the channel that they are copies of; so do positions that stay, as tokens with an embedding of
    their own do when they are flattened with their channels.
    """
    shape = trace.shape(node)
    moved = value.moved(lambda plane: plane.reshape(shape), shape)
    copies = [plane for plane in moved.planes if trace.labels.is_of_copies(plane)]
    own = [plane for plane in moved.planes if not any(plane is item for item in copies)]
    if not value.weight:
        own = without_staying(trace.labels, own)
    taken = frozenset().union(*(support(plane) for plane in own))
    free = [plane for plane in copies if not support(plane) & taken]
    return replace(moved, planes=(*own, *free))


@handles("permute", "transpose", "t", "unsqueeze", "squeeze", "movedim", "flip", "numpy_T")
@handles("repeat", "narrow", "swapaxes", "squeeze_copy")
@handles("pixel_unshuffle")
def moving(trace: Trace, node: fx.Node, value: Value, *args: Any, **kwargs: Any) -> Value:
    """Move or cut the labels as the data."""
    return _moved(trace, node, value, *args, **kwargs)


@handles("pixel_shuffle")
def pixel_shuffle(trace: Trace, node: fx.Node, value: Value, factor: int) -> Value:
    """Make squares of positions from channels: those of one square stay together."""
    channels = trace.axis(value, -3)
    if channels is not None:
        trace.labels.unite_along(channels.reshape(-1, factor**2), [1])
    return _moved(trace, node, value, factor)


@handles("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(trace: Trace, node: fx.Node, value: Value, groups: int) -> Value:
    """Interleave the channels of several groups, each of which keeps as many as the others."""
    channels = trace.axis(value, 1)
    if channels is not None:
        trace.labels.unite_along(channels.reshape(groups, -1), [0])
    return _moved(trace, node, value, groups)


def _moved(trace: Trace, node: fx.Node, value: Value, *args: Any, **kwargs: Any) -> Value:
    target = node.target
    assert isinstance(target, torch._ops.OpOverload)
    planes = [compact(target(plane, *args, **kwargs)) for plane in value.planes]
    return _cut(trace, node, value, planes, trace.shape(node))


def _cut(
    trace: Trace, node: fx.Node, value: Value, planes: Sequence[Tensor], shape: Sequence[int]
) -> Value:
    """Return what is left of a value, given what is left of each of its planes.

    A single channel, or a part of one, looks like a value without channels; it is read all the
    same: the channels stay. What has no elements keeps its channels along other dims, as planes
    with one position along those that are empty.
    """
    emptied = [dim for dim, size in enumerate(shape) if size == 0]
    if emptied:
        planes = [_first_along(trace, node, plane, emptied, shape) for plane in value.planes]
    for part in planes if not emptied else ():
        if part.numel() and not support(part):
            trace.labels.freeze(part, f"{trace.where(node)} takes channels by number")
    kept = tuple(plane for plane in planes if support(plane))
    return replace(value, shape=tuple(shape), planes=kept, uniform=frozenset(), constant=None)


def _first_along(
    trace: Trace, node: fx.Node, plane: Tensor, dims: Sequence[int], shape: Sequence[int]
) -> Tensor:
    left = [size if dim not in dims else 1 for dim, size in enumerate(plane.shape)]
    if left != [max(size, 1) for size in shape]:
        trace.labels.freeze(plane, f"{trace.where(node)} leaves no elements")
        return plane.reshape(-1)[:1]
    for dim in dims:
        plane = plane.narrow(dim, 0, 1)
    return plane


@handles("repeat_interleave")
def repeat_interleave(
    trace: Trace, node: fx.Node, value: Value, repeats: Any, *args: Any, **kwargs: Any
) -> Value:
    """Repeat each position equally often."""
    if isinstance(repeats, Value):
        return trace.refuse(node, [value], f"{trace.where(node)} repeats by numbers of the code")
    return _moved(trace, node, value, repeats, *args, **kwargs)


@handles("slice")
def sliced(
    trace: Trace,
    node: fx.Node,
    value: Value,
    dim: int = 0,
    start: Any = None,
    end: Any = None,
    step: int = 1,
) -> Value:
    """Cut out a range; every n-th position is no longer the n-th after removal."""
    if step != 1:
        _by_number(trace, node, value, dim)
    return _moved(trace, node, value, dim, start, end, step)


@handles("unfold")
def unfold(trace: Trace, node: fx.Node, value: Value, dim: int, size: int, step: int) -> Value:
    """Cut into windows, which have a fixed number of positions."""
    _by_number(trace, node, value, dim)
    return _moved(trace, node, value, dim, size, step)


def _by_number(trace: Trace, node: fx.Node, value: Value, dim: int) -> None:
    """Note that the code counts positions along a dim, so that none of them may go."""
    for plane in value.planes:
        reason = f"{trace.where(node)} takes channels by number"
        trace.labels.freeze_along(plane, {dim % len(value.shape)}, reason)


@handles("select", "index_select")
def select(trace: Trace, node: fx.Node, value: Value, dim: int, index: Any) -> Value:
    """Take positions by number; along a channel dim the number fixes the channels taken."""
    if isinstance(index, Value):
        if index.constant is None:
            return trace.refuse(node, [value], f"{trace.where(node)} takes computed positions")
        index = index.constant
        by_number: Any = torch.index_select
    else:
        by_number = torch.select
    _by_number(trace, node, value, dim)
    return value.moved(lambda plane: by_number(plane, dim, index), trace.shape(node))


@handles("expand", "expand_as")
def expand(trace: Trace, node: fx.Node, value: Value, *args: Any, **kwargs: Any) -> Value:
    """Repeat along dims of size 1; how often follows from what the result meets."""
    shape = trace.shape(node)
    shift = len(shape) - len(value.shape)
    old = (1,) * shift + value.shape
    planes = [plane.expand(shape) for plane in value.planes]
    new = {dim for dim in range(len(shape)) if old[dim] == 1 and shape[dim] > 1}
    asked = node.args[1]
    for dim in new:
        # A size that is a node follows the batch.
        if isinstance(asked, list | tuple) and isinstance(asked[dim], int):
            line = trace.labels.free(shape[dim])
            form = [-1 if other == dim else 1 for other in range(len(shape))]
            planes.append(line.reshape(form).expand(shape))
    uniform = new | {dim + shift for dim in value.uniform}
    return replace(
        value, shape=shape, planes=tuple(planes), uniform=frozenset(uniform), constant=None
    )


@handles("unbind")
def unbind(trace: Trace, node: fx.Node, value: Value, dim: int = 0) -> Any:
    """Cut into single positions, each of which the code takes by number."""
    _by_number(trace, node, value, dim)
    return split(trace, node, value, dim)


@handles("glu")
def glu(trace: Trace, node: fx.Node, value: Value, dim: int = -1) -> Value:
    """Gate the first half of the channels by the second."""
    shape = trace.shape(node)
    dim %= len(shape)
    half = shape[dim]
    if (channels := trace.axis(value, dim)) is not None:
        # A single pair has halves of size 1, which would pass for ones that are repeated.
        trace.labels.unite_along(channels.reshape(2, half), [0])
    data = value.moved(lambda plane: plane.narrow(dim, 0, half), shape)
    gate = value.moved(lambda plane: plane.narrow(dim, half, half), shape)
    planes = trace.meet(node, [broadcast(data, shape), broadcast(gate, shape)])
    return Value(shape, planes, reason=value.reason)


@handles("split", "split_with_sizes", "chunk", "tensor_split")
def split(trace: Trace, node: fx.Node, value: Value, *args: Any, **kwargs: Any) -> Any:
    """Cut into several values; the labels are cut alike."""
    target = node.target
    assert isinstance(target, torch._ops.OpOverload)
    shapes = trace.shape(node)
    slices = [target(plane, *args, **kwargs) for plane in value.planes]
    results = []
    for position, shape in enumerate(shapes):
        planes = [compact(part[position]) for part in slices]
        results.append(_cut(trace, node, value, planes, shape))
    return tuple(results)


@handles("pad", "constant_pad_nd")
def pad(trace: Trace, node: fx.Node, value: Value, amounts: Sequence[int], *rest: Any) -> Value:
    """Add constants at the borders; along a channel dim they are channels that always stay."""
    shape = trace.shape(node)
    padded = {len(shape) - 1 - i // 2 for i, amount in enumerate(amounts) if amount}
    planes = []
    for plane in value.planes:
        if not support(plane) & padded:
            planes.append(_resized(plane, shape))
        elif rest and rest[0] not in ("constant", 0, 0.0):
            trace.labels.freeze(plane, f"{trace.where(node)} reflects its channels")
        else:
            planes.append(_padded(trace, node, plane, amounts, padded))
    return replace(
        value, shape=shape, planes=tuple(planes), uniform=frozenset(), direct=False, constant=None
    )


def _padded(
    trace: Trace, node: fx.Node, plane: Tensor, amounts: Sequence[int], padded: set[int]
) -> Tensor:
    reason = f"{trace.where(node)} adds a fixed number of channels"
    if len(padded) == 1 and support(plane) - padded and min(amounts) >= 0:
        # What is added to each head, of a number of channels that the code tells, goes with it.
        trace.labels.freeze_along(plane, padded, reason)
        (dim,) = padded
        place = 2 * (plane.dim() - 1 - dim)
        first = plane.narrow(dim, 0, 1)
        shape = list(plane.shape)
        parts = []
        for amount in amounts[place : place + 2]:
            shape[dim] = amount
            parts.append(first.expand(shape))
        return compact(torch.cat([parts[0], plane, parts[1]], dim))
    filled = torch.nn.functional.pad(plane, tuple(amounts), value=int(trace.labels.fixed(reason)))
    return compact(filled)


def _resized(plane: Tensor, shape: Sequence[int]) -> Tensor:
    """Give a plane another size along dims where it does not change."""
    keep = support(plane)
    for dim in range(plane.dim()):
        if dim not in keep and plane.shape[dim] > 1:
            plane = plane.narrow(dim, 0, 1)
    return plane.expand(tuple(shape))


@handles("roll")
def roll(trace: Trace, node: fx.Node, value: Value, shifts: Any, dims: Any = ()) -> Value:
    """Rotate; along a channel dim the shift is a fixed number of channels."""
    axes = [dims] if isinstance(dims, int) else list(dims)
    rolled = {dim % len(value.shape) for dim in axes} or set(range(len(value.shape)))
    reason = f"{trace.where(node)} shifts its channels"
    for plane in value.planes:
        if support(plane) & rolled:
            trace.labels.freeze(plane, reason)
    planes = tuple(plane for plane in value.planes if not support(plane) & rolled)
    return replace(value, planes=planes, direct=False, constant=None)


@handles("index")
def index(trace: Trace, node: fx.Node, value: Value, indices: Sequence[Any]) -> Value:
    """Take positions by constant index tensors."""
    tensors = [item.constant if isinstance(item, Value) else item for item in indices]
    unknown = [
        1 for old, new in zip(indices, tensors, strict=True) if (old is None) != (new is None)
    ]
    if unknown:
        return trace.refuse(node, [value], f"{trace.where(node)} takes computed positions")
    for dim, item in enumerate(tensors):
        if item is not None:
            _by_number(trace, node, value, dim)
    taken = [compact(torch.ops.aten.index.Tensor(plane, tensors)) for plane in value.planes]
    return replace(_cut(trace, node, value, taken, trace.shape(node)), direct=False)


@handles("slice_scatter", "select_scatter")
def scatter(
    trace: Trace,
    node: fx.Node,
    value: Value,
    source: Value,
    dim: int = 0,
    *args: Any,
    **kwargs: Any,
) -> Value:
    """Overwrite a part: its channels meet those of what is written there."""
    is_slice = "slice" in str(node.target)
    if not is_slice or (len(args) > 2 and args[2] != 1):
        _by_number(trace, node, value, dim)
    cut = torch.ops.aten.slice.Tensor if is_slice else torch.ops.aten.select.int
    shape = source.shape
    part = value.moved(lambda plane: cut(plane, dim, *args, **kwargs), shape)
    trace.meet(node, [broadcast(part, shape), broadcast(source, shape)])
    return replace(value, uniform=frozenset(), direct=False, constant=None)


@handles("copy")
def copied(trace: Trace, node: fx.Node, value: Value, source: Value, *args: Any) -> Value:
    """Take the values of another tensor, in the shape of the first."""
    shape = trace.shape(node)
    planes = trace.meet(node, [broadcast(source, shape)])
    return Value(shape, planes, reason=source.reason, weight=source.weight)
