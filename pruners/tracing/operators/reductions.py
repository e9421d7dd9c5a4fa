"""Structure trace: norms, sums over dims, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, fx

from pruners.tracing.labels import narrowed, support
from pruners.tracing.operators.shapes import elementwise
from pruners.tracing.trace import Trace, handles
from pruners.tracing.values import Value, broadcast


@handles("_native_batch_norm_legit_no_training", "batch_norm")
def batch_norm(trace: Trace, node: fx.Node, value: Value, *args: Any, **kwargs: Any) -> Any:
    """Each channel on its own; its parameters go with it."""
    per_channel(trace, node, value, [item for item in args[:4] if isinstance(item, Value)])
    result = replace(value, direct=False, constant=None)
    shapes = trace.shape(node)
    if isinstance(shapes[0], tuple):
        return (result, *(Value(shape, reason="statistics") for shape in shapes[1:]))
    return result


@handles("_native_batch_norm_legit")
def batch_norm_of_batch(
    trace: Trace, node: fx.Node, value: Value, *args: Any, **kwargs: Any
) -> tuple[Value, ...]:
    """Each channel by the statistics of its own values; standardized weights are made with it."""
    others = [dim for dim in range(len(value.shape)) if dim != 1]
    mix(trace, node, value, others)
    per_channel(trace, node, value, [item for item in args[:4] if isinstance(item, Value)])
    result = replace(value, direct=False, constant=None)
    return (result, *(Value(shape, reason="statistics") for shape in trace.shape(node)[1:]))


@handles("instance_norm")
def instance_norm(trace: Trace, node: fx.Node, value: Value, *args: Any, **kwargs: Any) -> Value:
    """Each channel of each sample on its own; positions are mixed, unless statistics are kept."""
    uses_input = args[4]
    if uses_input:
        mix(trace, node, value, range(2, len(value.shape)))
    per_channel(trace, node, value, [item for item in args[:4] if isinstance(item, Value)])
    return replace(value, direct=False, constant=None)


def per_channel(trace: Trace, node: fx.Node, value: Value, tensors: Sequence[Value]) -> None:
    """Unite parameters ``(C,)`` with the channels along dim 1."""
    channels = trace.axis(value, 1)
    for item in tensors:
        line = trace.axis(item, -1)
        if line is None:
            continue
        trace.role(line, "norm")
        if channels is None:
            trace.labels.freeze(line, f"meets {value.reason} in {trace.where(node)}")
        else:
            trace.labels.unite(line, channels)


@handles("layer_norm", "native_layer_norm", "rms_norm")
def layer_norm(
    trace: Trace, node: fx.Node, value: Value, normalized: Sequence[int], *args: Any, **kwargs: Any
) -> Any:
    """Mix the last dims; the parameters go with them."""
    dims = range(len(value.shape) - len(normalized), len(value.shape))
    mix(trace, node, value, dims)
    affine = [item for item in (*args, *kwargs.values()) if isinstance(item, Value)]
    for item in affine:
        for dim in range(len(item.shape)):
            trace.role(trace.axis(item, dim), "norm")
    planes = trace.meet(node, [broadcast(item, value.shape) for item in (value, *affine)])
    result = replace(value, planes=planes, uniform=frozenset(), direct=False, constant=None)
    shapes = trace.shape(node)
    if shapes and isinstance(shapes[0], tuple):
        return (result, *(Value(shape, reason="statistics") for shape in shapes[1:]))
    return result


@handles("group_norm")
def group_norm(
    trace: Trace, node: fx.Node, value: Value, groups: int, *args: Any, **kwargs: Any
) -> Value:
    """Mix the channels of each group; all groups keep the same channels.

    A group for each channel mixes positions only: that is an instance norm.
    """
    is_per_channel = groups == value.shape[1]
    mix(trace, node, value, range(2 if is_per_channel else 1, len(value.shape)))
    channels = trace.axis(value, 1)
    if channels is not None and 1 < groups < value.shape[1]:
        trace.labels.unite_along(channels.reshape(groups, -1), [0])
    per_channel(trace, node, value, [item for item in args[:2] if isinstance(item, Value)])
    return replace(value, direct=False, constant=None)


def mix(trace: Trace, node: fx.Node, value: Value, dims: Sequence[int] | range) -> None:
    """Note that an operator mixes positions along some dims."""
    touched = {dim % len(value.shape) for dim in dims}
    for plane in value.planes:
        if support(plane) & touched:
            trace.labels.mix(plane, touched, f"its channels are mixed by {trace.where(node)}")


@handles("_weight_norm")
def weight_norm(
    trace: Trace, node: fx.Node, direction: Value, length: Value, dim: int = 0
) -> Value:
    """Scale each row of a weight to a length that is a parameter."""
    shape = direction.shape
    mix(trace, node, direction, [other for other in range(len(shape)) if other != dim])
    planes = trace.meet(node, [broadcast(direction, shape), broadcast(length, shape)])
    return Value(shape, planes, reason=direction.reason, weight=True)


@handles("softmax", "_softmax", "log_softmax", "_log_softmax", "softmin", "cumsum")
def softmax(
    trace: Trace, node: fx.Node, value: Value, dim: int, *args: Any, **kwargs: Any
) -> Value:
    """Mix one dim and keep the shape."""
    mix(trace, node, value, [dim])
    return replace(value, direct=False, constant=None)


@handles("mean", "sum", "amax", "amin", "var", "std", "logsumexp", "prod", "max", "min")
@handles("linalg_vector_norm", "norm", "var_mean")
def reduction(trace: Trace, node: fx.Node, value: Value, *args: Any, **kwargs: Any) -> Any:
    """Reduce over some dims; channels along them are mixed.

    The larger of two values, ``torch.max(a, b)``, is taken element by element.
    """
    if args and isinstance(args[0], Value):
        return elementwise(trace, node, value, *args, **kwargs)
    dims, keepdim = _reduced(node, len(value.shape))
    mix(trace, node, value, sorted(dims))
    shapes = trace.shape(node)
    several = bool(shapes) and isinstance(shapes[0], tuple)
    shape = shapes[0] if several else shapes
    planes = []
    for plane in value.planes:
        if support(plane) - dims:
            trace.labels.unite_along(plane, support(plane) & dims)
        small: Tensor = plane
        for dim in sorted(dims, reverse=True):
            small = small.narrow(dim, 0, 1) if keepdim else small.select(dim, 0)
        if support(small):
            planes.append(small.expand(shape))
    result = Value(shape, tuple(planes), reason=value.reason, weight=value.weight)
    return tuple(result for _ in shapes) if several else result


def _reduced(node: fx.Node, rank: int) -> tuple[set[int], bool]:
    """Return the reduced dims and whether they stay as size 1."""
    target = node.target
    names = [item.name for item in target._schema.arguments]  # type: ignore[union-attr]
    given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    dims: Any = given.get("dim")
    if dims is None or dims == []:
        chosen = set(range(rank))
    else:
        chosen = {dim % rank for dim in ([dims] if isinstance(dims, int) else dims)}
    return chosen, bool(given.get("keepdim", False))


@handles("avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d")
@handles(
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d"
)
@handles("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "lp_pool2d")
@handles("max_pool2d_with_indices", "max_pool3d_with_indices", "reflection_pad3d")
@handles("upsample_trilinear3d", "replication_pad3d", "_upsample_nearest_exact1d")
@handles("_upsample_nearest_exact2d", "_upsample_nearest_exact3d")
@handles("upsample_nearest1d", "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d")
@handles("reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d")
@handles(
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "upsample_nearest3d", "upsample_linear1d"
)
def spatial(trace: Trace, node: fx.Node, value: Value, *args: Any, **kwargs: Any) -> Any:
    """Mix positions of each channel on its own; positions are the dims from 2 on."""
    shapes = trace.shape(node)
    several = isinstance(shapes[0], tuple)
    result = resized(trace, node, value, shapes[0] if several else shapes)
    return tuple(result for _ in shapes) if several else result


def resized(trace: Trace, node: fx.Node, value: Value, shape: Sequence[int]) -> Value:
    """Return a value with other positions (dims from 2 on, or from 1 without batch)."""
    first = len(shape) - _positions(node)
    planes = []
    for plane in value.planes:
        if any(dim >= first for dim in support(plane)):
            trace.labels.freeze(plane, f"{trace.where(node)} mixes its channels as positions")
        else:
            planes.append(narrowed(plane).expand(tuple(shape)))
    return Value(tuple(shape), tuple(planes), reason=value.reason)


def _positions(node: fx.Node) -> int:
    """Return the number of position dims of a pooling operator from its name."""
    name = str(node.target)
    return next(count for count in (1, 2, 3) if f"{count}d" in name)
