"""Multiply-adds of operators that no handler follows: their channels stay, their cost counts."""

from __future__ import annotations

import contextlib
from collections.abc import Container
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

from pruners.batches import Inputs
from pruners.capture import device_of
from pruners.tracing.operators.products import weight_of
from pruners.tracing.trace import Axis, Product, Trace


def count_unread(trace: Trace, node: fx.Node) -> None:
    """Note what an operator multiplies, as torch's own counter says; it never shrinks."""

    def empty(item: fx.Node) -> Any:
        value = item.meta.get("val")
        if isinstance(value, Tensor):
            return torch.empty(trace.shape(item), dtype=value.dtype, device="meta")
        return trace.values[item]

    counter = FlopCounterMode(display=False)
    # What cannot be run without data multiplies nothing.
    with contextlib.suppress(Exception), torch.no_grad(), counter:
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), empty)
        assert callable(node.target)
        node.target(*args, **kwargs)
    _note(trace, node, counter.get_total_flops() // 2)


def count_unsized(trace: Trace, model: nn.Module, example: Inputs) -> None:
    """Note what operators whose sizes the data decide multiply for the example."""
    if not trace.unsized:
        return
    # Its nodes keep their names.
    graph = trace.graph.on(device_of(model))
    unsized = {node.name: node for node in trace.unsized}
    counting = _Counting(graph.module, unsized)
    with torch.no_grad():
        counting.run(*graph.arguments(model, example))
    for name, macs in counting.macs.items():
        _note(trace, unsized[name], macs)


class _Counting(fx.Interpreter):
    """Runs a graph and counts the multiply-adds of some of its nodes."""

    def __init__(self, module: fx.GraphModule, counted: Container[str]) -> None:
        super().__init__(module)
        self._counted, self.macs = counted, dict[str, int]()

    def run_node(self, n: fx.Node) -> object:
        """Run one node."""
        if n.name not in self._counted:
            return super().run_node(n)
        counter = FlopCounterMode(display=False)
        with counter:
            result = super().run_node(n)
        self.macs[n.name] = counter.get_total_flops() // 2
        return result


def _note(trace: Trace, node: fx.Node, macs: int) -> None:
    if macs:
        trace.products.append(Product(node, weight_of(node, trace), (Axis(macs),)))
