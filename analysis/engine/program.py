"""A captured graph compiled to steps, any part of which can be run again with other weights.

Three things make a step cheaper than the nodes it came from, with the same result up to rounding:
a batch norm that only reads a convolution is folded into its weights, an element-wise operator
that is the only reader of a fresh value overwrites it, and images stay in channels-last layout.
Folding works on the edited weights, so an edit of a folded layer needs no special care.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from analysis.engine.convolutions import Fusing, first_result, following_norm, rectified_sum
from analysis.engine.execution import Nodes, Run, Values, runner_of
from analysis.engine.operators import (
    ADDITION,
    BATCH_NORM,
    CONVOLUTIONS,
    FRESH,
    IN_PLACE,
    STRIDED,
)
from analysis.engine.steps import Part, Step, sizes_of
from analysis.engine.weights import State, Weights
from pruners.batches import Inputs, parts_of
from pruners.capture import Graph
from pruners.errors import UnsupportedError

Observer = Callable[[int, Any], None]


@dataclass(frozen=True, slots=True)
class _Order:
    """What there is to do at a step beside running it.

    Attributes:
        unread: Values that nobody reads after it.
        overwritable: Its arguments, by position, that it may overwrite.
    """

    unread: tuple[int, ...]
    overwritable: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Chain:
    """What is computed with a node.

    Attributes:
        norm: The norm that is folded in.
        added: What is added to the value.
        tail: Nodes that overwrite the value, in order.
        covered: All nodes beside the first one, in order.
    """

    norm: fx.Node | None
    added: fx.Node | None
    tail: tuple[fx.Node, ...]
    covered: tuple[fx.Node, ...]


class Program:
    """Steps in execution order, and the state they read.

    Args:
        graph: The captured model.
        tensors: Its dense state by name; see `Graph.tensors`.
        channels_last: Keep 4-d values in channels-last layout.
        fold_batch_norm: Fold batch norms into the convolutions that they follow.
        skip_zero_columns: Do not multiply by input columns that an edit has set to zero.
        fuse: What convolutions are run with in one kernel.
        dtype: Type of all floating-point values; None leaves them as they are.
    """

    def __init__(
        self,
        graph: Graph,
        tensors: State,
        *,
        channels_last: bool = True,
        fold_batch_norm: bool = True,
        skip_zero_columns: bool = True,
        fuse: Fusing = Fusing.NOTHING,
        dtype: torch.dtype | None = None,
    ) -> None:
        nodes = list(graph.module.graph.nodes)
        self.channels_last = channels_last and not any(node.target in STRIDED for node in nodes)
        self._names = {
            node: graph.state[node.name]
            for node in nodes
            if node.op == "placeholder" and node.name in graph.state
        }
        self._weights = Weights(
            self._names,
            {name: tensors[name] for name in self._names.values()},
            channels_last=self.channels_last,
            skip_zero_columns=skip_zero_columns,
            dtype=dtype,
        )
        self._index: dict[fx.Node, int] = {}
        self.fuse = fuse
        self.steps: list[Step] = []
        self._readers: list[list[int]] = []
        self._build(nodes, graph, fold=fold_batch_norm, fuse=fuse)
        origin = Nodes(self._names, self._index)
        self._runners = [
            runner_of(step, origin, channels_last=self.channels_last, fuse=fuse, dtype=dtype)
            for step in self.steps
        ]
        inputs = [node for node, index in self._index.items() if index < 0]
        self.sizes = sizes_of(self.steps, inputs)
        self._whole = self.part_of(range(len(self.steps)))
        self._parts: dict[frozenset[str], Part] = {}
        self._planned: dict[tuple[Part, frozenset[int] | None], tuple[_Order, ...]] = {}

    # --- compiling -------------------------------------------------------------------------

    def _build(self, nodes: list[fx.Node], graph: Graph, *, fold: bool, fuse: Fusing) -> None:
        by_name = {node.name: node for node in nodes}
        for at, name in enumerate(graph.inputs):
            self._index[by_name[name]] = -1 - at
        absorbed: set[fx.Node] = set()
        output_node: fx.Node | None = None
        for node in nodes:
            if node.name == graph.output:
                output_node = node
            if node.op == "get_attr":
                raise UnsupportedError(f"the captured graph holds a sub-graph at {node.name}")
            if node.op != "call_function" or node in absorbed:
                continue
            chain = self._chain(node, graph.output, fold=fold, fuse=fuse)
            absorbed.update(chain.covered)
            self._append(node, chain)
            for item in chain.covered:
                self._index[item] = len(self.steps) - 1
        assert output_node is not None
        self.output = self._index[output_node]

    def _chain(self, node: fx.Node, output: str, *, fold: bool, fuse: Fusing) -> _Chain:
        """Follow the single readers of a node as far as they can be computed with it."""
        norm = added = None
        covered: list[fx.Node] = []
        if node.target is BATCH_NORM and (getter := first_result(node)) is not None:
            covered = [getter]
        elif fold and node.target in CONVOLUTIONS:
            norm = following_norm(node, output, self._names)
            getter = None if norm is None else first_result(norm)
            covered = [] if norm is None or getter is None else [norm, getter]
        last = covered[-1] if covered else node
        if fuse >= Fusing.SUMS and (found := rectified_sum(node, last, self._index, output)):
            last, added = found
            covered.append(last)
        is_fresh = node.target in FRESH or (node.target is BATCH_NORM and bool(covered))
        tail = _overwriting(last, output) if is_fresh else []
        return _Chain(norm, added, tuple(tail), (*covered, *tail))

    def _append(self, body: fx.Node, chain: _Chain) -> None:
        index, node = len(self.steps), chain.covered[-1] if chain.covered else body
        norm, added = chain.norm, chain.added
        sources = [
            *body.all_input_nodes,
            *(norm.all_input_nodes if norm is not None else ()),
            *([added] if added is not None else ()),
        ]
        reads = sorted(
            {self._index[item] for item in sources if item in self._index and item is not body}
        )
        state = tuple(dict.fromkeys(self._names[item] for item in sources if item in self._names))
        fresh = body.target in FRESH or (body.target is BATCH_NORM and node is not body)
        self.steps.append(
            Step(index, node, body, norm, added, chain.tail, tuple(reads), state, fresh)
        )
        self._readers.append([])
        self._index[node] = index
        self._index[body] = index
        for read in reads:
            if read >= 0:
                self._readers[read].append(index)

    def part(self, names: Iterable[str]) -> Part:
        """Return the steps downstream of some parameters or buffers; cached."""
        key = frozenset(names)
        if key not in self._parts:
            dirty = [False] * len(self.steps)
            for step in self.steps:
                dirty[step.index] = not key.isdisjoint(step.state) or any(
                    read >= 0 and dirty[read] for read in step.reads
                )
            self._parts[key] = self.part_of([i for i, found in enumerate(dirty) if found])
        return self._parts[key]

    def whole(self) -> Part:
        """Return all steps."""
        return self._whole

    def part_of(self, steps: Iterable[int]) -> Part:
        """Return a part of exactly these steps, in the order of the program."""
        chosen = sorted(steps)
        inside = set(chosen)
        border = frozenset(
            read for i in chosen for read in self.steps[i].reads if read not in inside
        )
        last: dict[int, int] = {}
        for i in chosen:
            for read in (*self.steps[i].reads, i):
                if read in inside and read != self.output:
                    last[read] = i
        frees: dict[int, list[int]] = {i: [] for i in chosen}
        for value, reader in last.items():
            frees[reader].append(value)
        return Part(tuple(chosen), tuple(tuple(frees[i]) for i in chosen), border)

    # --- running ---------------------------------------------------------------------------

    def prepare(self, inputs: Inputs) -> Values:
        """Return the values before the first step: inputs from -1 down."""
        return {-1 - at: self._prepared(part) for at, part in enumerate(parts_of(inputs))}

    def _prepared(self, part: Tensor) -> Any:
        if self.channels_last and part.dim() == 4:
            part = part.contiguous(memory_format=torch.channels_last)
        return self._weights.lowered(part)

    def edited(self, edit: State) -> Weights:
        """Return the weights that an edit means, for `run` on several batches."""
        return self._weights.edited(edit)

    def run(
        self,
        part: Part,
        known: Mapping[int, Any],
        weights: Weights | None = None,
        *,
        keep: frozenset[int] | None = None,
        observer: Observer | None = None,
    ) -> Values:
        """Run some steps.

        Args:
            part: The steps.
            known: Values of the border.
            weights: What `edited` returned; None is the dense state.
            keep: Values to return besides the output; None returns all of them.
            observer: Called after each step with its index and value.

        Returns:
            New values by step index; the output is among them if its step was run.
        """
        values: Values = {read: known[read] for read in part.border}
        run = Run(values, self._weights if weights is None else weights)
        for at, order in enumerate(self._orders(part, keep)):
            i = part.steps[at]
            run.overwritable = order.overwritable
            values[i] = self._runners[i](run)
            if observer is not None:
                observer(i, values[i])
            for free in order.unread:
                del values[free]
        return {i: value for i, value in values.items() if i not in part.border}

    def _orders(self, part: Part, keep: frozenset[int] | None) -> tuple[_Order, ...]:
        """Return what else there is to do at each step of a part; found out once."""
        key = (part, keep)
        if key not in self._planned:
            inside = frozenset(part.steps)
            found = []
            for i, frees in zip(part.steps, part.frees, strict=True):
                unread = () if keep is None else tuple(free for free in frees if free not in keep)
                found.append(_Order(unread, self._overwritable(self.steps[i], inside, unread)))
            self._planned[key] = tuple(found)
        return self._planned[key]

    def _overwritable(
        self, step: Step, inside: frozenset[int], unread: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return the arguments of an addition that the very run makes and no one reads later.

        Neither the value nor a view of it: every step that reads it makes memory of its own.
        """
        body = step.body
        if body.target is not ADDITION or body.kwargs:
            return ()
        found = []
        for at, node in enumerate(body.args[:2]):
            position = self._index.get(node, -1) if isinstance(node, fx.Node) else -1
            is_own = position in unread and position in inside and self.steps[position].fresh
            if is_own and all(self.steps[reader].fresh for reader in self._readers[position]):
                found.append(at)
        return tuple(found)


def _overwriting(last: fx.Node, output: str) -> list[fx.Node]:
    """Return the element-wise readers, one after the other, that can overwrite a value."""
    tail: list[fx.Node] = []
    while last.name != output and len(last.users) == 1:
        reader = next(iter(last.users))
        if reader.target not in IN_PLACE or reader.all_input_nodes != [last]:
            break
        tail.append(reader)
        last = reader
    return tail
