"""Sizes that shrink when units of groups are removed, and products of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

# Numbers of groups, rising.
Scope = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Removed:
    """Units of one group that are removed: how many, or which."""

    number: int
    mask: Tensor | None

    def count(self, counts: Tensor, total: int, units: int) -> int:
        """Return how many positions go.

        Args:
            counts: How many each unit has ``(units,)``.
            total: How many all of them have.
            units: Their number.
        """
        if self.mask is not None:
            return int(counts[self.mask].sum())
        # Units of one group cover equally many positions, so any will do.
        return total * self.number // units

    def lost(self, units: int) -> Tensor:
        """Return which units are removed ``(units,)``."""
        return torch.arange(units) < self.number if self.mask is None else self.mask


# By number of the group: what is removed of it; None is nothing.
Removals = Sequence[Removed | None] | Mapping[int, Removed | None]
# What may be removed of each group; nothing comes first.
Choices = Mapping[int, Sequence[Removed | None]]


def _subsets(scope: Scope) -> Iterator[Scope]:
    """Yield all parts of a scope but the empty one."""
    for size in range(1, len(scope) + 1):
        yield from itertools.combinations(scope, size)


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """A size that shrinks: ``size`` minus, for each group, positions times removed units.

    Attributes:
        size: The size before.
        positions: Group, and how many positions each of its units has.
        lines: Where each position belongs to several groups, as a flattened pair of channel dims
            does: group and unit of each position, for each of them.
        totals: How many positions and units each of the groups has: sizes are asked for often.
    """

    size: int
    positions: tuple[tuple[int, Tensor], ...] = ()
    lines: tuple[tuple[Tensor, Tensor], ...] = ()
    totals: tuple[tuple[int, int], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Sum up the positions."""
        totals = tuple((int(counts.sum()), len(counts)) for _, counts in self.positions)
        object.__setattr__(self, "totals", totals)

    def left(self, removed: Removals) -> int:
        """Return the size after removal."""
        if len(self.lines) > 1:
            return self._left_of_all(removed)
        left = self.size
        for (group, counts), totals in zip(self.positions, self.totals, strict=True):
            units = removed[group]
            if units is not None:
                left -= units.count(counts, *totals)
        return left

    def _left_of_all(self, removed: Removals) -> int:
        lost = torch.zeros(self.size, dtype=torch.bool)
        for groups, units in self.lines:
            for group, counts in self.positions:
                removal = removed[group]
                if removal is not None:
                    inside = groups == group
                    lost[inside] |= removal.lost(len(counts))[units[inside]]
        return self.size - int(lost.sum())

    def parts(self, removed: Choices) -> dict[Scope, Tensor]:
        """Return the size as a sum of parts; see `Term.parts`."""
        groups = sorted({group for group, _ in self.positions if group in removed})
        found: dict[Scope, Tensor] = {(): torch.tensor(float(self.size), dtype=torch.float64)}
        # Where positions belong to one group each, what groups take away adds up.
        scopes = [tuple(groups)] if len(self.lines) > 1 else [(group,) for group in groups]
        for scope in scopes:
            for inner in _subsets(scope):
                found[inner] = self._part(inner, removed)
        return found

    def _part(self, scope: Scope, removed: Choices) -> Tensor:
        """Return what removing from all these groups does beyond removing from fewer of them."""
        whole: dict[int, Removed | None] = {group: None for group, _ in self.positions}
        values = torch.zeros([len(removed[group]) for group in scope], dtype=torch.float64)
        for place in itertools.product(*(range(size) for size in values.shape)):
            chosen = {group: removed[group][at] for group, at in zip(scope, place, strict=True)}
            values[place] = self.left(whole | chosen)
        for axis in range(len(scope)):
            values = values - values.narrow(axis, 0, 1)
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A product of factors, counted towards one layer."""

    layer: str
    factors: tuple[Factor, ...]
    divisor: int = 1

    def value(self, removed: Removals) -> int:
        """Return the product after removal."""
        sizes = (
            factor.left(removed) if factor.positions else factor.size for factor in self.factors
        )
        return math.prod(sizes) // self.divisor

    def parts(self, removed: Choices) -> dict[Scope, Tensor]:
        """Return the term's change against dense as a sum of parts, each 0 where a group is whole.

        Args:
            removed: What may be removed of a group, by its number; nothing first.

        Returns:
            Group numbers, rising -> values ``(choices of the first, ...)`` without the whole ones.
        """
        found: dict[Scope, Tensor] = {(): torch.tensor(1.0 / self.divisor, dtype=torch.float64)}
        for factor in self.factors:
            product: dict[Scope, Tensor] = {}
            for scope, values in found.items():
                for other, sizes in factor.parts(removed).items():
                    union = tuple(sorted({*scope, *other}))
                    value = _along(values, scope, union) * _along(sizes, other, union)
                    product[union] = product[union] + value if union in product else value
            found = product
        return {
            scope: values[(slice(1, None),) * len(scope)].round()
            for scope, values in found.items()
            if scope
        }


def _along(values: Tensor, scope: Scope, union: Scope) -> Tensor:
    """Give values an axis for each group of a larger scope."""
    sizes = dict(zip(scope, values.shape, strict=True))
    return values.reshape([sizes.get(group, 1) for group in union])
