"""Capture a model once as a functional ATen graph with a free batch size and length of text.

The graph is what groups are found in and what the incremental evaluator runs. In-place operators
are decomposed away, so every value of the graph may be cached. Whatever the model's device, it is
captured on the CPU: there, no kernel adds a bound on the batch. `Graph.on` gives the graph for
another device.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from pruners.batches import Inputs, Tensors, joined, lengths_of
from pruners.capture import exporting
from pruners.capture.graph import Graph, device_of, first_names, on_cpu
from pruners.capture.refusals import most_samples, refusal
from pruners.errors import CaptureError
from pruners.float32 import strict

# How far a graph's outputs may be from the model's, relative to the largest; those of 16 bits.
TOLERANCE, ROUNDED = 1e-3, 0.03
# How many samples are run at most to learn whether the graph holds for more than it was made for.
MOST_TRIED = 256


def capture(model: nn.Module, example: Inputs) -> Graph:
    """Capture ``model`` in eval mode.

    Args:
        model: The model, on any device; it is left as found.
        example: An input batch with at least two samples ``(N, ...)``.

    Returns:
        The graph; on the CPU, unless the model runs on its own device only.

    Raises:
        CaptureError: The model cannot be exported, its output is not one tensor, or the graph
            gives another one.
    """
    if any(module.training for module in model.modules()):
        raise CaptureError("a model is captured in eval mode, but some modules are in train mode")
    try:
        graph = _exported(on_cpu(model), example.cpu())
    except CaptureError:
        raise
    except Exception as error:
        if device_of(model).type == "cpu":
            raise refusal(model, example, error) from error
        # Code that names the device, or keeps tensors there that no copy moves, runs only there.
        try:
            graph = _exported(model, example)
        except CaptureError:
            raise
        except Exception as other:
            raise refusal(model, example, other) from other
    if not _is_right(graph, model, example):
        raise CaptureError(
            f"torch.export cannot capture {type(model).__name__}: its graph does not give the "
            "model's own outputs"
        )
    lengths = lengths_of(graph.module, graph.inputs, example)
    return replace(graph, is_of_several=isinstance(example, Tensors), lengths=lengths)


def _exported(model: nn.Module, example: Inputs) -> Graph:
    """Export a model and make a graph of it.

    Code may do something else from some number of samples on that gives the same, such as a copy
    for the sake of a kernel. Then the graph holds for more samples, too.
    """
    try:
        return exporting.graph_of(exporting.exported(model, example), first_names(model))
    except Exception as error:
        most = most_samples(error)
        if most is None or most >= MOST_TRIED or device_of(model).type == "meta":
            raise
        exported = exporting.exported(model, example, most=most)
        graph = exporting.graph_of(exported, first_names(model))
        more = joined([example] * (most // len(example) + 1))[: most + 1]
        if not _gives(graph, model, more):
            raise
        return graph


@strict
@torch.no_grad()
def _is_right(graph: Graph, model: nn.Module, example: Inputs) -> bool:
    """Return whether a graph gives a model's outputs, on the model's device.

    torch.export loses what is written into some views, and takes two samples for all there are.
    """
    if device_of(model).type == "meta":
        return True  # There are no values.
    inputs, outputs = answered(model, example)
    return _gives(graph, model, inputs, outputs)


@strict
@torch.no_grad()
def _gives(graph: Graph, model: nn.Module, inputs: Inputs, outputs: Any = None) -> bool:
    """Return whether a graph gives a model's outputs of some inputs, which it may be told."""
    device = device_of(model)
    outputs = model(inputs) if outputs is None else outputs
    there = graph.on(device)
    given = there.arguments(model, inputs)
    try:
        found = there.module(*given)
    except RuntimeError:  # Sizes that are held for constants do not fit.
        return False
    return all(map(_is_like, tree_leaves(found), tree_leaves(outputs)))


def answered(model: nn.Module, example: Inputs) -> tuple[Inputs, Any]:
    """Return three samples with a model's outputs; the example with them if it takes no three.

    Two, with which it is captured, may be all that the graph holds for: torch.export need not
    notice. One size is enough: a GPU looks for kernels for each.
    """
    three = joined([example, example[:1]])
    try:
        return three, model(three)
    except Exception:  # Whatever its code raises.
        return example, model(example)


def _is_like(found: Tensor, expected: Tensor) -> bool:
    """Return whether outputs are others by rounding at most."""
    if not expected.is_floating_point():
        return torch.equal(found, expected)
    is_short = torch.finfo(expected.dtype).bits < torch.finfo(torch.float32).bits
    same = (found == expected) | (found.isnan() & expected.isnan())
    unlike = (found - expected).abs().masked_fill(same, 0)
    scale = expected.nan_to_num(0, 0, 0).abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
    return bool((unlike / scale).max() < (ROUNDED if is_short else TOLERANCE))
