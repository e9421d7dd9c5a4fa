"""The units of computation of a compiled graph, and selections of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One unit of computation: a node, or a node with those folded into it.

    Attributes:
        index: Position in the program; also the key of its value.
        node: The node whose value the step yields.
        body: The node that is computed: the convolution of a folded chain, else ``node``.
        norm: A batch norm that is folded into the convolution.
        added: What is added to the value before the tail.
        tail: Element-wise nodes that overwrite the value, in order.
        reads: Indices of the steps whose values it reads.
        state: Names of the parameters and buffers it reads.
        fresh: Whether its value is memory of its own.
    """

    index: int
    node: fx.Node
    body: fx.Node
    norm: fx.Node | None
    added: fx.Node | None
    tail: tuple[fx.Node, ...]
    reads: tuple[int, ...]
    state: tuple[str, ...]
    fresh: bool


@dataclass(frozen=True, slots=True)
class Part:
    """The steps that an edit makes necessary, in order.

    Attributes:
        steps: Indices of the steps.
        frees: For each step, the values that no later step reads.
        border: Values of other steps that these steps read.
    """

    steps: tuple[int, ...]
    frees: tuple[tuple[int, ...], ...]
    border: frozenset[int]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How the values of a program hang on the number of samples.

    Attributes:
        rows: Tensors with a row a sample, inputs (-1 and below) among them.
        counts: Numbers that are that of the samples.
    """

    rows: frozenset[int]
    counts: frozenset[int]


def sizes_of(steps: Iterable[Step], inputs: Iterable[fx.Node]) -> Sizes:
    """Return what a capture with a free number of samples says of the values of steps."""
    places = list(inputs)
    first = traced(places[0])
    samples = first.shape[0] if isinstance(first, Tensor) and first.dim() else None
    rows = {-1 - at for at in range(len(places))}
    counts = set()
    for step in steps:
        value = traced(step.node)
        if isinstance(value, Tensor) and value.dim() and _is_same(value.shape[0], samples):
            rows.add(step.index)
        elif _is_same(value, samples):
            counts.add(step.index)
    return Sizes(frozenset(rows), frozenset(counts))


def traced(node: fx.Node) -> Any:
    """Return the value of a node as it was captured, with its sizes; None where it has none."""
    return node.meta.get("val")


def _is_same(size: Any, samples: Any) -> bool:
    """Return whether two free sizes have the same name; a fixed one has none."""
    both = (size, samples)
    if not all(isinstance(item, torch.SymInt) for item in both):
        return False
    return bool(size.node.expr == samples.node.expr)
