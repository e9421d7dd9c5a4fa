"""Structure trace: convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx

from pruners.tracing.labels import narrowed, support
from pruners.tracing.operators.products import add_bias, read, weight_of
from pruners.tracing.trace import Axis, Product, Trace, axis_of, handles
from pruners.tracing.values import Value


@handles("conv1d", "conv2d", "conv3d")
def conv(
    trace: Trace,
    node: fx.Node,
    value: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    """Convolve: rows of the weight make channels, its columns read them."""
    return convolution(trace, node, value, weight, bias, groups=groups, transposed=False)


@handles("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(
    trace: Trace,
    node: fx.Node,
    value: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Value:
    """Convolve with a weight whose dim 0 reads and whose dim 1 makes channels."""
    return convolution(trace, node, value, weight, bias, groups=groups, transposed=True)


@handles("convolution")
def general_conv(
    trace: Trace,
    node: fx.Node,
    value: Value,
    weight: Value,
    bias: Value | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Value:
    """Convolve either way."""
    return convolution(trace, node, value, weight, bias, groups=groups, transposed=transposed)


def convolution(
    trace: Trace,
    node: fx.Node,
    value: Value,
    weight: Value,
    bias: Value | None,
    *,
    groups: int,
    transposed: bool,
) -> Value:
    """Note who reads and who makes channels; grouped convolutions tie theirs."""
    shape = trace.shape(node)
    channel_dim = len(shape) - (len(weight.shape) - 2) - 1
    is_depthwise = groups > 1 and (value.shape[channel_dim] == groups)
    if is_depthwise:
        made = _depthwise(trace, node, value, weight, groups, transposed, channel_dim)
    else:
        made = _grouped(trace, node, value, weight, groups, transposed, channel_dim)
    planes = _passing(trace, node, value, weight, shape, channel_dim)
    if made is not None:
        form = [-1 if dim == channel_dim else 1 for dim in range(len(shape))]
        planes.append(made.reshape(form).expand(shape))
        add_bias(trace, bias, made)
    _count_convolution(trace, node, value, weight, transposed, shape)
    return Value(shape, tuple(planes), reason=value.reason)


def _grouped(
    trace: Trace,
    node: fx.Node,
    value: Value,
    weight: Value,
    groups: int,
    transposed: bool,
    channel_dim: int,
) -> Tensor | None:
    """Return the labels of the output channels of a convolution with dense columns."""
    rows, columns = trace.axis(weight, 0), trace.axis(weight, 1)
    reads, makes = (rows, columns) if transposed else (columns, rows)
    read(trace, node, value, weight, reads, channel_dim, groups)
    if makes is None:
        return None
    trace.role(makes, "producer")
    if transposed:
        return makes.repeat(groups)
    if groups > 1:
        trace.labels.unite_along(makes.reshape(groups, -1), [0])
    return makes


def _depthwise(
    trace: Trace,
    node: fx.Node,
    value: Value,
    weight: Value,
    groups: int,
    transposed: bool,
    channel_dim: int,
) -> Tensor | None:
    """Return the output labels of a convolution where each channel has its own filters."""
    rows, channels = trace.axis(weight, 0), trace.axis(value, channel_dim)
    if rows is None:
        if channels is not None:
            trace.labels.freeze(channels, f"meets {weight.reason} in {trace.where(node)}")
        return None
    trace.role(rows, "depthwise")
    multiplier = weight.shape[1] if transposed else weight.shape[0] // groups
    own = rows if transposed else rows.reshape(groups, multiplier)
    if channels is None:
        trace.labels.freeze(rows, f"reads {value.reason} channel by channel")
    else:
        trace.labels.unite(own, channels if transposed else channels[:, None])
    return rows.repeat_interleave(multiplier) if transposed else rows


def _passing(
    trace: Trace, node: fx.Node, value: Value, weight: Value, shape: Sequence[int], channel_dim: int
) -> list[Tensor]:
    """Return the planes that a convolution leaves alone: those along the batch."""
    is_pointwise = max(weight.shape[2:]) == 1 and value.shape[2:] == tuple(shape[2:])
    planes = []
    for plane in value.planes:
        touched = support(plane)
        if channel_dim in touched:
            continue
        if not is_pointwise and any(dim > channel_dim for dim in touched):
            trace.labels.freeze(plane, f"{trace.where(node)} mixes its channels as positions")
        else:
            planes.append(narrowed(plane).expand(tuple(shape)))
    return planes


def _count_convolution(
    trace: Trace,
    node: fx.Node,
    value: Value,
    weight: Value,
    transposed: bool,
    shape: Sequence[int],
) -> None:
    # Each weight element is used once for each position of the output (of the input, where the
    # convolution is transposed) and sample. Positions may be channels of another layer, as the
    # columns of a table are.
    positions = value.shape if transposed else shape
    channel_dim = len(positions) - len(weight.shape) + 1
    axes = [axis_of(weight, dim) for dim in range(len(weight.shape))]
    for dim, size in enumerate(positions):
        if dim != channel_dim:
            axes.append(Axis(size, tuple(value.along(dim)), dim))
    trace.products.append(Product(node, weight_of(node, trace), tuple(axes)))
