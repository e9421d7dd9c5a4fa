"""What is to be chosen: variables with choices, and quantities that are sums of small tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A part of all quantities.

    Attributes:
        scope: The variables that it depends on, rising.
        values: ``(quantities, choices of the first variable, of the second, ...)``.
    """

    scope: tuple[int, ...]
    values: np.ndarray

    def at(self, chosen: Sequence[int]) -> np.ndarray:
        """Return the part at a choice ``(quantities,)``."""
        place = tuple(chosen[item] for item in self.scope)
        return np.asarray(np.moveaxis(self.values, 0, -1)[place])


class Problem:
    """Choose for each variable; the first quantity is to be least, the others are limited.

    Args:
        sizes: Number of choices of each variable.
        tables: Parts of the quantities, which are added.
        limits: Largest value of each quantity but the first.
    """

    def __init__(
        self, sizes: Sequence[int], tables: Iterable[Table], limits: Sequence[float] | np.ndarray
    ):
        self.sizes = tuple(sizes)
        self.limits = np.asarray(limits, dtype=float)
        self.quantities = 1 + len(self.limits)
        # All that is constant, or depends on the same variables, is one table.
        self.constant = np.zeros(self.quantities)
        joined: dict[tuple[int, ...], np.ndarray] = {
            (place,): np.zeros((self.quantities, size)) for place, size in enumerate(self.sizes)
        }
        for table in tables:
            if not table.scope:
                self.constant = self.constant + table.values
            elif table.scope in joined:
                joined[table.scope] = joined[table.scope] + table.values
            else:
                joined[table.scope] = table.values
        self.tables = tuple(Table(scope, values) for scope, values in joined.items())

    @cached_property
    def touching(self) -> tuple[tuple[Table, ...], ...]:
        """The tables that depend on each variable."""
        return tuple(
            tuple(table for table in self.tables if place in table.scope)
            for place in range(len(self.sizes))
        )

    def value(self, chosen: Sequence[int]) -> np.ndarray:
        """Return all quantities of a choice ``(quantities,)``."""
        total = self.constant.copy()
        for table in self.tables:
            total += table.at(chosen)
        return total

    def around(self, chosen: Sequence[int], place: int) -> np.ndarray:
        """Return the part of all quantities that a variable changes ``(quantities, choices)``."""
        total = np.zeros((self.quantities, self.sizes[place]))
        for table in self.touching[place]:
            values = table.values
            for axis, item in reversed(list(enumerate(table.scope, 1))):
                values = values if item == place else values.take(chosen[item], axis)
            total += values
        return total

    def holds(self, value: np.ndarray) -> np.ndarray:
        """Return whether the limits hold for quantities ``(..., quantities)``."""
        return np.asarray((value[..., 1:] <= self.limits).all(-1))

    def improved(self, chosen: Sequence[int]) -> list[int]:
        """Change one variable after the other while that lowers the first quantity."""
        best = list(chosen)
        value = self.value(best)
        while True:
            gain, move = 0.0, None
            for place in range(len(self.sizes)):
                near = self.around(best, place)
                after = value[:, None] + near - near[:, [best[place]]]
                gains = np.where(self.holds(after.T), value[0] - after[0], -np.inf)
                option = int(gains.argmax())
                if gains[option] > gain + 1e-12:
                    gain, move = float(gains[option]), (place, option)
            if move is None:
                return best
            best[move[0]] = move[1]
            value = self.value(best)

    def reordered(self, order: Sequence[int]) -> Problem:
        """Return the problem with its variables in another order."""
        rank = {place: number for number, place in enumerate(order)}
        tables = []
        for table in self.tables:
            scope = [rank[place] for place in table.scope]
            axes = np.argsort(scope)
            values = table.values.transpose(0, *(1 + axes))
            tables.append(Table(tuple(sorted(scope)), np.ascontiguousarray(values)))
        tables.append(Table((), self.constant))
        return Problem([self.sizes[place] for place in order], tables, self.limits)
