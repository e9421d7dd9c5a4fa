"""Structure trace: windows of an image as columns, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx

from pruners.tracing.labels import support
from pruners.tracing.trace import Trace, handles
from pruners.tracing.values import Value


@handles("im2col")
def unfolded(trace: Trace, node: fx.Node, value: Value, kernel: Sequence[int], *args: Any) -> Value:
    """Put the positions of each window beside each other, channel by channel."""
    channels = _channels(trace, node, value, kept=1)
    made = None if channels is None else channels.repeat_interleave(math.prod(kernel))
    return _along(trace, node, value, made)


@handles("col2im")
def folded(
    trace: Trace, node: fx.Node, value: Value, size: Any, kernel: Sequence[int], *args: Any
) -> Value:
    """Add up windows: positions of one channel go together."""
    channels = _channels(trace, node, value, kept=1)
    if channels is None:
        return _along(trace, node, value, None)
    windows = channels.reshape(-1, math.prod(kernel))
    trace.labels.unite_along(windows, [1])
    return _along(trace, node, value, windows[:, 0])


def _channels(trace: Trace, node: fx.Node, value: Value, *, kept: int) -> Tensor | None:
    """Return the labels along the channels; those along positions stay."""
    for plane in value.planes:
        if any(dim > kept for dim in support(plane)):
            trace.labels.freeze(plane, f"{trace.where(node)} mixes its channels as positions")
    return trace.axis(value, kept)


def _along(trace: Trace, node: fx.Node, value: Value, line: Tensor | None) -> Value:
    shape = trace.shape(node)
    if line is None or not support(line):
        return Value(shape, reason=value.reason)
    form = [-1 if dim == 1 else 1 for dim in range(len(shape))]
    return Value(shape, (line.reshape(form).expand(shape),), reason=value.reason)
