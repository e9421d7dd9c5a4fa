"""Structure trace: recurrent layers, whose channels stay but whose cost counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import fx

from pruners.tracing.trace import Axis, Product, Trace, axis_of, handles, spread, values_in
from pruners.tracing.values import Value


@handles("gru", "lstm", "rnn_tanh", "rnn_relu")
def layer(
    trace: Trace, node: fx.Node, value: Value, state: Any, weights: Sequence[Value], *args: Any
) -> Any:
    """Use each weight once for each sample and step."""
    return _recurrent(trace, node, value.shape[:2], node.args[2], weights)


@handles("gru_cell", "lstm_cell", "rnn_tanh_cell", "rnn_relu_cell")
def cell(trace: Trace, node: fx.Node, value: Value, state: Any, *weights: Value | None) -> Any:
    """Use each weight once for each sample."""
    return _recurrent(trace, node, value.shape[:1], node.args[2:], weights)


def _recurrent(
    trace: Trace,
    node: fx.Node,
    uses: Sequence[int],
    sources: Any,
    weights: Sequence[Value | None],
) -> Any:
    reason = f"operator {trace.where(node)} is not supported"
    refused = trace.refuse(node, list(values_in(node, trace)), reason)
    for source, weight in zip(sources, weights, strict=True):
        if weight is not None and len(weight.shape) == 2:
            trace.role(trace.axis(weight, 0), "producer")
            axes = (axis_of(weight, 0), axis_of(weight, 1), *(Axis(size) for size in uses))
            trace.products.append(Product(node, trace.graph.state.get(source.name, ""), axes))
    return spread(refused, trace.shape(node))
