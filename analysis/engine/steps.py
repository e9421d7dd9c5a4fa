"""The units of computation of a compiled graph, and selections of them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One unit of computation: a node, or a node with those folded into it.

    Attributes:
        index: Position in the program; also the key of its value.
        node: The node whose value the step yields.
        body: The node that is computed: the convolution of a folded chain, else ``node``.
        norm: A batch norm that is folded into the convolution.
        tail: Element-wise nodes that overwrite the value, in order.
        reads: Indices of the steps whose values it reads.
        state: Names of the parameters and buffers it reads.
        fresh: Whether its value is memory of its own.
    """

    index: int
    node: fx.Node
    body: fx.Node
    norm: fx.Node | None
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
