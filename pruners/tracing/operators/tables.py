"""Structure trace: tables whose rows are looked up."""

from __future__ import annotations

from typing import Any

from torch import fx

from pruners.tracing.labels import narrowed, support
from pruners.tracing.trace import Trace, handles
from pruners.tracing.values import Operand, Value

ROWS_REASON = "its rows are looked up by number"


@handles("embedding")
def embedding(trace: Trace, node: fx.Node, table: Value, rows: Value, *args: Any) -> Value:
    """Look up rows: the table's columns make channels, its rows are counted by the code."""
    shape = trace.shape(node)
    for plane in rows.planes:
        trace.labels.freeze(plane, f"{trace.where(node)} takes it for a number")
    numbered = trace.axis(table, 0)
    if numbered is not None:
        trace.labels.freeze(numbered, ROWS_REASON)
    made = trace.axis(table, 1)
    is_weight = table.weight and rows.constant is not None
    if made is None:
        return Value(shape, reason=rows.reason, weight=is_weight)
    trace.role(made, "producer")
    trace.tables.update((name, dim) for name, dim in trace.labels.owners_of(made))
    form = [1] * (len(shape) - 1) + [-1]
    plane = made.reshape(form).expand(shape)
    planes = (plane,) if support(plane) else ()
    return Value(shape, planes, reason=rows.reason, weight=is_weight)


@handles("gather")
def gather(
    trace: Trace, node: fx.Node, value: Value, dim: int, places: Value, *args: Any, **kwargs: Any
) -> Value:
    """Take positions along one dim by number; channels along the others go on."""
    shape = trace.shape(node)
    dim %= len(shape)
    others = frozenset(range(len(shape))) - {dim}
    planes = []
    for plane in value.planes:
        reason = f"{trace.where(node)} takes channels by number"
        cut = {other for other in support(plane) & others if plane.shape[other] != shape[other]}
        trace.labels.freeze_along(plane, {dim} | cut, reason)
        small = narrowed(plane, keep=(support(plane) & others) - cut)
        if support(small):
            planes.append(small.expand(shape))
    for plane in places.planes:
        if dim in support(plane):
            trace.labels.freeze(plane, f"{trace.where(node)} takes it for a number")
    numbers = tuple(plane for plane in places.planes if dim not in support(plane))
    read = Operand(tuple(planes), value.varying & others, value.reason)
    found = trace.meet(node, [read, Operand(numbers, places.varying & others, places.reason)])
    return Value(shape, found, reason=value.reason)
