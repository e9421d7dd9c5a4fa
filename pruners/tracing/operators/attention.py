"""Structure trace: scaled dot product attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import fx

from pruners.tracing.labels import narrowed, support
from pruners.tracing.trace import Axis, Product, Trace, axis_of, handles
from pruners.tracing.values import Operand, Value


@handles("scaled_dot_product_attention")
def attention(
    trace: Trace,
    node: fx.Node,
    query: Value,
    key: Value,
    value: Value,
    mask: Value | None = None,
    *args: Any,
    **kwargs: Any,
) -> Value:
    """Tie the channels of each head; heads go together in query, key, value and mask.

    Where several query heads read one key, they go with it.
    """
    shape = trace.shape(node)
    if kwargs.get("enable_gqa"):
        key, value = (_for_each_query(item, query.shape[-3]) for item in (key, value))
    _tie_queries(trace, query, (key, value))
    tied = [_head(trace, node, item, shape) for item in (query, key, value)]
    if mask is not None:
        tied.append(_head(trace, node, mask, shape))
    planes = trace.meet(node, tied)
    for plane in planes:
        trace.labels.mark_heads(plane)
    for other, width in ((key, query.shape[-1]), (value, value.shape[-1])):
        axes = [axis_of(query, dim) for dim in range(len(shape) - 1)]
        axes += [Axis(other.shape[-2]), Axis(width)]
        trace.products.append(Product(node, "", tuple(axes)))
    return Value(shape, planes, reason=query.reason)


def _for_each_query(value: Value, heads: int) -> Value:
    """Return keys or values ``(..., heads, tokens, channels)``, one for each query head."""
    times = heads // max(value.shape[-3], 1)
    shape = (*value.shape[:-3], heads, *value.shape[-2:])
    return value.moved(lambda plane: plane.repeat_interleave(times, -3), shape)


def _tie_queries(trace: Trace, query: Value, others: Sequence[Value]) -> None:
    """Tie query heads along leading dims where keys and values have one head for all."""
    lead = range(len(query.shape) - 2)
    shared = {
        dim + len(query.shape) - len(other.shape)
        for other in others
        for plane in other.planes
        if not trace.labels.is_of_copies(plane)
        for dim in support(plane)
    }
    for plane in query.planes:
        along = support(plane).intersection(lead)
        if along & shared:
            trace.labels.unite_along(plane, along - shared)


def _head(trace: Trace, node: fx.Node, value: Value, shape: Sequence[int]) -> Operand:
    """Return query, key, value or mask as an operand over the leading dims."""
    last = len(value.shape) - 1
    planes = []
    for plane in value.planes:
        touched = support(plane)
        trace.labels.unite_along(plane, touched & {last})
        trace.labels.freeze_whole(plane, f"is summed as a whole in {trace.where(node)}")
        if last - 1 in touched:
            trace.labels.freeze(plane, f"{trace.where(node)} mixes its channels as tokens")
        planes.append(plane)
    lead = len(shape) - 2
    shift = len(shape) - len(value.shape)
    varying = frozenset(dim + shift for dim in value.varying if dim + shift < lead)
    flat = [narrowed(p, keep=support(p) - {last, last - 1}) for p in planes]
    leading = tuple(p.expand(tuple(shape)) for p in flat if support(p))
    return Operand(leading, varying, value.reason)
