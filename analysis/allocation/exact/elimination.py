"""The least weighted sum of all quantities, and what the rest costs at least, by elimination.

Variables are eliminated from the last to the first: all tables whose last variable is eliminated
are added, and its minimum is a new table (a message) over the others. For each choice of the first
variables the messages say how much the later ones add at least. Where tables would grow beyond a
limit, they are added in several lots (mini-buckets): then it is less than what they add.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.allocation.exact.problem import Problem

MAX_ENTRIES = 200_000


@dataclass(frozen=True, slots=True)
class Lot:
    """Tables that are added before a variable is eliminated.

    Attributes:
        scope: The variables that the message depends on, rising.
        inputs: Numbers of the tables and of earlier messages.
        message: Number of the message.
    """

    scope: tuple[int, ...]
    inputs: tuple[int, ...]
    message: int


class Elimination:
    """How the variables of a problem are eliminated; the same for all weights.

    Args:
        problem: The problem.
        most: Entries that a table may have.

    Attributes:
        scopes: Variables of all tables and messages, by number.
        lots: Lots by variable.
    """

    def __init__(self, problem: Problem, *, most: int = MAX_ENTRIES) -> None:
        self._problem = problem
        self.scopes = [table.scope for table in problem.tables]
        self.lots: list[list[Lot]] = [[] for _ in problem.sizes]
        buckets: list[list[int]] = [[] for _ in problem.sizes]
        for number, scope in enumerate(self.scopes):
            buckets[scope[-1]].append(number)
        for place in reversed(range(len(problem.sizes))):
            for inputs in self._shared_out(buckets[place], most):
                scope = self._union(inputs)[:-1]
                number = len(self.scopes)
                self.scopes.append(scope)
                self.lots[place].append(Lot(scope, tuple(inputs), number))
                if scope:
                    buckets[scope[-1]].append(number)

    def _union(self, inputs: Sequence[int]) -> tuple[int, ...]:
        return tuple(sorted({place for number in inputs for place in self.scopes[number]}))

    def _shared_out(self, numbers: Sequence[int], most: int) -> list[list[int]]:
        lots: list[list[int]] = []
        for number in sorted(numbers, key=lambda item: -len(self.scopes[item])):
            for lot in lots:
                scope = self._union([*lot, number])
                if math.prod(self._problem.sizes[place] for place in scope) <= most:
                    lot.append(number)
                    break
            else:
                lots.append([number])
        return lots

    @property
    def is_exact(self) -> bool:
        """Whether the least sums are reached, not only bounds."""
        return all(len(lots) == 1 for lots in self.lots)

    def run(self, weights: np.ndarray) -> tuple[float, list[np.ndarray]]:
        """Return the least weighted sum, or less, and all tables and messages by number."""
        sizes = self._problem.sizes
        arrays = [np.tensordot(weights, table.values, 1) for table in self._problem.tables]
        least = float(weights @ self._problem.constant)
        for place in reversed(range(len(sizes))):
            for lot in self.lots[place]:
                axes = (*lot.scope, place)
                total = np.zeros([sizes[item] for item in axes])
                for number in lot.inputs:
                    scope = self.scopes[number]
                    total += arrays[number].reshape(
                        [sizes[item] if item in scope else 1 for item in axes]
                    )
                arrays.append(total.min(-1))
                if not lot.scope:
                    least += float(arrays[-1])
        return least, arrays

    def decoded(self, arrays: Sequence[np.ndarray]) -> list[int]:
        """Return a choice of the least weighted sum, from the first variable to the last."""
        chosen: list[int] = []
        for lots in self.lots:
            options = sum(
                arrays[number][tuple(chosen[item] for item in self.scopes[number][:-1])]
                for lot in lots
                for number in lot.inputs
            )
            chosen.append(int(np.argmin(options)))
        return chosen


def elimination_order(problem: Problem) -> list[int]:
    """Return the variables so that eliminating from the last keeps tables small (greedy)."""
    near: list[set[int]] = [set() for _ in problem.sizes]
    for table in problem.tables:
        for place in table.scope:
            near[place] |= set(table.scope) - {place}
    left = set(range(len(problem.sizes)))
    order = []
    while left:
        place = min(
            left,
            key=lambda item: (
                sum(math.log(problem.sizes[other]) for other in near[item]),
                -item,
            ),
        )
        for other in near[place]:
            near[other] |= near[place] - {other}
            near[other].discard(place)
        left.discard(place)
        order.append(place)
    return order[::-1]
