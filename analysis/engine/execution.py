"""Run the steps of a program: each is compiled once to a function of values and weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from analysis.engine.convolutions import Fusing, Fusion, fusion_of, take_channels
from analysis.engine.operators import ADDITION, BATCH_NORM, CONVOLUTIONS, IN_PLACE, REPLACED
from analysis.engine.steps import Step
from analysis.engine.weights import Weights

Values = dict[int, Any]

_CONSTANT, _VALUE, _STATE, _NESTED = range(4)
# What kind an argument is, and the constant, the step, the name, or the arguments within it.
_Slot = tuple[int, Any]


@dataclass(slots=True, eq=False)
class Run:
    """One run of some steps.

    Attributes:
        values: By step.
        weights: What the steps read of the state.
        overwritable: The arguments of the step at hand, by position, that it may overwrite.
    """

    values: Values
    weights: Weights
    overwritable: tuple[int, ...] = ()


Runner = Callable[[Run], Any]


class Nodes:
    """Where the values of nodes come from.

    Args:
        names: Names of the state by placeholder.
        index: Steps by node; inputs are -1 and below.
    """

    def __init__(self, names: Mapping[fx.Node, str], index: Mapping[fx.Node, int]) -> None:
        self._names, self._index = names, index

    def slot(self, argument: Any) -> _Slot:
        """Return where an argument comes from."""
        if isinstance(argument, fx.Node):
            name = self._names.get(argument)
            return (_VALUE, self._index[argument]) if name is None else (_STATE, name)
        found: list[fx.Node] = []
        fx.node.map_arg(argument, found.append)
        return (_NESTED, argument) if found else (_CONSTANT, argument)

    def slots(self, arguments: Sequence[Any]) -> tuple[_Slot, ...]:
        """Return where arguments come from."""
        return tuple(self.slot(item) for item in arguments)

    def resolver(self, run: Run) -> Callable[[fx.Node], Any]:
        """Return what finds the value of a node."""

        def resolve(node: fx.Node) -> Any:
            name = self._names.get(node)
            return run.values[self._index[node]] if name is None else run.weights.tensor(name)

        return resolve

    def fetched(self, slots: Sequence[_Slot], run: Run) -> list[Any]:
        """Return the arguments."""
        found = []
        for kind, what in slots:
            if kind == _VALUE:
                found.append(run.values[what])
            elif kind == _CONSTANT:
                found.append(what)
            elif kind == _STATE:
                found.append(run.weights.tensor(what))
            else:
                found.append(fx.node.map_arg(what, self.resolver(run)))
        return found


def runner_of(
    step: Step, nodes: Nodes, *, channels_last: bool, fuse: Fusing, dtype: torch.dtype | None
) -> Runner:
    """Return the function that runs a step.

    Args:
        step: The step.
        nodes: Where arguments come from.
        channels_last: Whether 4-d values are kept in that layout.
        fuse: What convolutions are run with in one kernel.
        dtype: Type of all floating-point values; None leaves them as they are.
    """
    fusion = fusion_of(step, channels_last=channels_last) if fuse else None
    body = _body(step, nodes, channels_last, fusion)
    rest = step.tail[0 if fusion is None else fusion.covers :]
    tail = [(IN_PLACE[node.target], node.args[1:], node.kwargs) for node in rest]
    if not tail and dtype is None:
        return body

    def runner(run: Run) -> Any:
        result = body(run)
        if dtype is not None:
            # Code that asks for float32 somewhere, and constants, would raise the type again.
            result = run.weights.lowered(result)
        for function, arguments, options in tail:
            result = function(result, *arguments, **options)
        return result

    return runner


def _body(step: Step, nodes: Nodes, channels_last: bool, fusion: Fusion | None) -> Runner:
    if step.body.target in CONVOLUTIONS:
        return _convolution(step, nodes, channels_last, fusion)
    if step.body.target is ADDITION:
        return _addition(step, nodes)
    if step.fresh and step.body.target is BATCH_NORM:
        return _batch_norm(step, nodes)
    return _operator(step, nodes)


def _convolution(step: Step, nodes: Nodes, channels_last: bool, fusion: Fusion | None) -> Runner:
    body, rest, options = step.body, step.body.args[3:], step.body.kwargs
    read = nodes.slots((body.args[0], *(() if step.added is None else (step.added,))))
    function = body.target
    assert callable(function)

    def runner(run: Run) -> Any:
        inputs, *others = nodes.fetched(read, run)
        added = others[0] if others else None
        kernel = run.weights.kernel(step, inputs, nodes.resolver(run))
        if kernel.columns is not None:
            inputs = take_channels(inputs, kernel.columns)
        result: Tensor | None = None
        if fusion is not None:
            result = fusion.run(inputs, kernel.weight, kernel.bias, added)
        if result is None:
            result = function(inputs, kernel.weight, kernel.bias, *rest, **options)
            result = result if added is None else result.add_(added)
            if fusion is not None and fusion.covers:
                result = result.relu_()
        if channels_last and result.dim() == 4:
            # One input channel is in both layouts at once, so the layout is settled here.
            result = result.contiguous(memory_format=torch.channels_last)
        return result

    return runner


def _addition(step: Step, nodes: Nodes) -> Runner:
    both = nodes.slots(step.body.args[:2])
    operator = _operator(step, nodes)

    def runner(run: Run) -> Any:
        overwritable = run.overwritable
        if overwritable:
            left, right = nodes.fetched(both, run)
            if isinstance(left, Tensor) and isinstance(right, Tensor) and left is not right:
                same = left.shape == right.shape and left.dtype == right.dtype
                if same and 0 in overwritable:
                    return left.add_(right)
                if same and 1 in overwritable:
                    return right.add_(left)
        return operator(run)

    return runner


def _batch_norm(step: Step, nodes: Nodes) -> Runner:
    arguments = step.body.args
    first, eps = nodes.slots(arguments[:1]), arguments[6]
    assert isinstance(eps, float)

    def runner(run: Run) -> Any:
        (value,) = nodes.fetched(first, run)
        gamma, beta, mean, var = run.weights.exact(arguments[1:5], nodes.resolver(run))
        return torch.batch_norm(value, gamma, beta, mean, var, False, 0.0, eps, False)

    return runner


def _operator(step: Step, nodes: Nodes) -> Runner:
    body = step.body
    arguments, names = nodes.slots(body.args), tuple(body.kwargs)
    options = nodes.slots(tuple(body.kwargs.values()))
    function = REPLACED.get(body.target, body.target)
    assert callable(function)

    def runner(run: Run) -> Any:
        given = nodes.fetched(arguments, run)
        if not names:
            return function(*given)
        return function(*given, **dict(zip(names, nodes.fetched(options, run), strict=True)))

    return runner
