"""Structure trace: tables whose rows are looked up."""

from __future__ import annotations

from typing import Any

from torch import fx

from pruners.tracing.labels import support
from pruners.tracing.trace import Trace, handles
from pruners.tracing.values import Value

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
