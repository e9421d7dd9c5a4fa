"""Parameters and multiply-adds, counted and predicted.

1 MAC = one multiply-add of a convolution, linear layer, matrix product or attention; bias and norm
are not counted. Costs are those of one sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pruners.errors import InputError, UnsupportedError
from pruners.groups.graph_rewrite import unread
from pruners.groups.groups import Group, Structure
from pruners.groups.sizes import Choices, Factor, Removed, Term
from pruners.layers import layer_of
from pruners.tracing import Axis, narrowed

Kept = Mapping[str, int | Sequence[int]]
Shapes = Mapping[str, tuple[int, ...]]
# By groups: how a cost changes with what each of them keeps ``(choices of the first, ...)``.
Parts = Mapping[tuple[str, ...], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a model costs.

    Attributes:
        params: Number of parameters; shared ones count once.
        macs: Multiply-adds for one sample.
    """

    params: int
    macs: int


class CostModel:
    """Predicts the cost after removal exactly, without removing anything.

    Args:
        structure: Structure of the dense model.
    """

    def __init__(self, structure: Structure) -> None:
        self._groups: dict[str, tuple[int, Group]] = {
            group.id: (number, group) for number, group in enumerate(structure.groups)
        }
        self._units = _units(structure)
        self._structure = structure
        self._labels: dict[tuple[str, int], Tensor] = {
            (name, dim): line for name, dim, line in structure.trace.labels.owners()
        }
        self._params = self._tensor_terms(structure.parameters)
        batch = len(structure.example)
        self._macs = [
            Term(
                _layer(product.weight),
                tuple(self._factor(axis, structure) for axis in product.axes),
                batch,
            )
            for product in structure.trace.products
        ]
        self._touching = _touching(self._params + self._macs, len(structure.groups))
        nothing: list[Removed | None] = [None] * len(structure.groups)
        self._dense = Cost(
            params=sum(term.value(nothing) for term in self._params),
            macs=sum(term.value(nothing) for term in self._macs),
        )
        self._dense_terms = [term.value(nothing) for term in self._params + self._macs]
        self._nothing = nothing
        self._depth = {group.id: group for group in structure.depth}
        self._lost: dict[frozenset[str], tuple[set[int], set[str]]] = {}

    @property
    def dense(self) -> Cost:
        """Cost of the dense model."""
        return self._dense

    def predict(self, kept: Kept) -> Cost:
        """Return the cost after removal.

        Args:
            kept: Group id -> how many units stay, or their numbers; other groups stay whole.

        Raises:
            InputError: No such group, or a count that the group does not have.
        """
        units, lost = self._removals(kept)
        return self._without(units, self._left_out(lost)[0])

    def whole(self, group_id: str) -> Cost:
        """Return what all units of a group cost together: their own and what reads them.

        This is what would be saved if none stayed, which no network can do without.

        Raises:
            InputError: No such group.
        """
        if group_id in self._depth:
            left = self.predict({group_id: 0})
        else:
            number, group = self._find(group_id)
            left = self._without({number: Removed(group.units, None)}, set())
        return Cost(params=self._dense.params - left.params, macs=self._dense.macs - left.macs)

    def _removals(self, kept: Kept) -> tuple[dict[int, Removed], frozenset[str]]:
        """Return what is removed of groups of channels, and which branches and layers are."""
        lost = {name for name, asked in kept.items() if name in self._depth and not _count(asked)}
        gone = (self._removed(*item) for item in kept.items() if item[0] not in self._depth)
        return {number: units for number, units in gone if units is not None}, frozenset(lost)

    def _left_out(self, lost: frozenset[str]) -> tuple[set[int], set[str]]:
        """Return which terms, and which parameters and buffers, go with branches and layers."""
        if lost not in self._lost:
            trace = self._structure.trace
            branches = (branch for name in lost for branch in self._depth[name].branches)
            nodes, names = unread(trace.graph, {item.total: item.skip for item in branches})
            border = len(self._params)
            terms = {at for at, name in enumerate(self._structure.parameters) if name in names}
            terms |= {
                border + at for at, product in enumerate(trace.products) if product.node in nodes
            }
            self._lost[lost] = terms, names
        return self._lost[lost]

    def _without(self, gone: Mapping[int, Removed], lost: set[int]) -> Cost:
        removed = list(self._nothing)
        changed = set(lost)
        for number, units in gone.items():
            removed[number] = units
            changed |= self._touching[number]
        params, macs = self._dense.params, self._dense.macs
        border = len(self._params)
        for position in changed:
            is_params = position < border
            term = self._params[position] if is_params else self._macs[position - border]
            left = 0 if position in lost else term.value(removed)
            change = left - self._dense_terms[position]
            params, macs = (params + change, macs) if is_params else (params, macs + change)
        return Cost(params=params, macs=macs)

    def parts(self, choices: Mapping[str, Sequence[int]]) -> tuple[Parts, Parts]:
        """Return parameters and multiply-adds as sums of parts that depend on few groups.

        Sizes multiply, so groups whose channels meet in one weight interact; as sizes are sums
        (concatenations), a product of them is a sum of products, most of two groups.

        Args:
            choices: Group id -> counts that it may keep.

        Returns:
            Two mappings, of parameters and of multiply-adds: groups -> float64 changes against
            dense. The parts of a choice add up to the cost after removal less that of the dense
            model. Of branches and layers they may save less than the whole does: what several of
            them read goes with the last one only.

        Raises:
            UnsupportedError: Branches or layers beside groups of another kind.
        """
        if depth := self._depth_choices(choices):
            costs = {name: self.predict({name: 0}) for name in depth}
            saved = [
                {name: cost.params - self._dense.params for name, cost in costs.items()},
                {name: cost.macs - self._dense.macs for name, cost in costs.items()},
            ]
            return _whole_parts(choices, saved[0]), _whole_parts(choices, saved[1])
        removed = self._choices(choices)
        return self._parts(self._params, removed), self._parts(self._macs, removed)

    def _depth_choices(self, choices: Iterable[str]) -> list[str]:
        depth = [name for name in choices if name in self._depth]
        kinds = {self._depth[name].kind if name in self._depth else "channel" for name in choices}
        if depth and len(kinds) > 1:
            raise UnsupportedError(
                f"what {depth[0]} and groups of channels save does not add up: fill plans of one "
                "granularity, and join them"
            )
        return depth

    def tensor_parts(
        self, dense: Shapes, weights: Sequence[int], choices: Mapping[str, Sequence[int]]
    ) -> Parts:
        """Return the weighted sum of the sizes of parameters and buffers as `parts` does.

        Args:
            dense: Their shapes by name.
            weights: What an entry of each counts, such as its bytes.
            choices: Group id -> counts that it may keep.
        """
        if depth := self._depth_choices(choices):
            sizes = {
                name: math.prod(shape) * weight
                for (name, shape), weight in zip(dense.items(), weights, strict=True)
            }
            lost = {name: self._left_out(frozenset({name}))[1] for name in depth}
            saved = {name: -sum(sizes.get(item, 0) for item in gone) for name, gone in lost.items()}
            return _whole_parts(choices, saved)
        return self._parts(self._tensor_terms(dense), self._choices(choices), weights)

    def _choices(self, choices: Mapping[str, Sequence[int]]) -> Choices:
        removed: dict[int, list[Removed | None]] = {}
        for name, counts in choices.items():
            units = [self._removed(name, count)[1] for count in counts]
            removed[self._groups[name][0]] = [None, *units]
        return removed

    def _parts(
        self, terms: Sequence[Term], removed: Choices, weights: Sequence[int] | None = None
    ) -> Parts:
        names = {number: name for name, (number, _) in self._groups.items()}
        found: dict[tuple[str, ...], Tensor] = {}
        for term, weight in zip(terms, weights or [1] * len(terms), strict=True):
            for groups, values in term.parts(removed).items():
                scope = tuple(names[number] for number in groups)
                found[scope] = found.get(scope, torch.zeros(())) + weight * values
        return found

    def layers(self) -> dict[str, int]:
        """Return the dense multiply-adds of each layer; ``""`` are products without weight."""
        macs: dict[str, int] = {}
        for term in self._macs:
            macs[term.layer] = macs.get(term.layer, 0) + term.value(self._nothing)
        return macs

    def _find(self, group_id: str) -> tuple[int, Group]:
        if group_id not in self._groups:
            raise InputError(f"unknown group {group_id!r}")
        return self._groups[group_id]

    def _removed(self, group_id: str, asked: int | Sequence[int]) -> tuple[int, Removed | None]:
        number, group = self._find(group_id)
        count = _count(asked)
        if not 0 < count <= group.units:
            raise InputError(f"group {group_id} has {group.units} units; {count} cannot be kept")
        if count == group.units:
            return number, None
        mask = None
        if not isinstance(asked, int):
            mask = torch.ones(group.units, dtype=torch.bool)
            mask[torch.as_tensor(list(asked))] = False
        return number, Removed(group.units - count, mask)

    def shapes(self, dense: Shapes, kept: Kept) -> Shapes:
        """Return the shapes of parameters and buffers after removal, without those that go.

        Args:
            dense: Their shapes by name before it.
            kept: As in `predict`.
        """
        units, lost = self._removals(kept)
        removed = [units.get(number) for number in range(len(self._nothing))]
        terms, gone = self._tensor_terms(dense), self._left_out(lost)[1]
        return {
            name: tuple(factor.left(removed) for factor in term.factors)
            for name, term in zip(dense, terms, strict=True)
            if name not in gone
        }

    def _tensor_terms(self, shapes: Shapes) -> list[Term]:
        terms = []
        for name, shape in shapes.items():
            factors = []
            for dim, size in enumerate(shape):
                line = self._labels.get((name, dim))
                axis = Axis(size, (line,), 0) if line is not None else Axis(size)
                factors.append(self._factor(axis, self._structure))
            terms.append(Term(layer_of(name), tuple(factors)))
        return terms

    def _factor(self, axis: Axis, structure: Structure) -> Factor:
        """Return how a size depends on the groups."""
        found = [self._line(plane, axis.dim, structure) for plane in axis.planes]
        lines = tuple(line for line in found if line is not None)
        positions = []
        for groups, units in lines:
            for group in sorted(set(groups[groups >= 0].tolist())):
                total = structure.groups[group].units
                counts = torch.bincount(units[groups == group], minlength=total)
                positions.append((group, counts))
        return Factor(axis.size, tuple(positions), lines)

    def _line(self, plane: Tensor, dim: int, structure: Structure) -> tuple[Tensor, Tensor] | None:
        """Return group and unit of each position along a dim; None if it does not shrink."""
        small = structure.units.root[narrowed(plane)]
        line = small.movedim(dim, 0).reshape(small.shape[dim], -1)
        if line.shape[1] > 1 and not bool((line == line[:, :1]).all()):
            # Another dim of the plane is the one that shrinks.
            return None
        roots = line[:, 0]
        if len(roots) > 1 and bool((roots == roots[0]).all()):
            return None
        groups, units = self._units[0][roots], self._units[1][roots]
        return (groups, units) if bool((groups >= 0).any()) else None


def _count(asked: int | Sequence[int]) -> int:
    return asked if isinstance(asked, int) else len(asked)


def _whole_parts(choices: Mapping[str, Sequence[int]], saved: Mapping[str, int]) -> Parts:
    """Return what goes with branches or layers as parts, each of one."""
    return {
        (name,): torch.tensor([0 if kept else saved[name] for kept in counts], dtype=torch.float64)
        for name, counts in choices.items()
    }


def _layer(weight: str) -> str:
    return layer_of(weight) if weight else ""


def _units(structure: Structure) -> tuple[Tensor, Tensor]:
    """Return group number and unit number for each label that stands for a unit; -1 is none."""
    root = structure.units.root
    groups = torch.full((len(root),), -1)
    units = torch.full((len(root),), -1)
    for number, group in enumerate(structure.groups):
        member = group.producers[0]
        line = root[structure.trace.labels.of(member.name, member.dim, len(member.index))]
        inside = member.index >= 0
        groups[line[inside]] = number
        units[line[inside]] = member.index[inside]
    return groups, units


def _touching(terms: Sequence[Term], groups: int) -> list[set[int]]:
    """Return for each group which terms depend on it."""
    touching: list[set[int]] = [set() for _ in range(groups)]
    for position, term in enumerate(terms):
        for factor in term.factors:
            for group, _ in factor.positions:
                touching[group].add(position)
    return touching
