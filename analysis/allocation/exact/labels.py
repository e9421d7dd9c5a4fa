"""Dynamic programming over partial choices, cut by bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.allocation.exact.elimination import Elimination
from analysis.allocation.exact.problem import Problem

# How much better a choice must be, relative to the best known one, and the error of sums.
_SLACK, _ROUNDING = 1e-10, 1e-13


@dataclass(frozen=True, slots=True)
class _Labels:
    """Partial choices, one a row.

    Attributes:
        chosen: Choices of the first variables ``(labels, variables)``.
        first: First quantity of the tables that are decided ``(labels,)``.
        least: What all quantities but the first come to at least ``(labels, limits)``.
        bound: What the first quantity comes to at least, by the Lagrangian ``(labels,)``.
    """

    chosen: np.ndarray
    first: np.ndarray
    least: np.ndarray
    bound: np.ndarray

    def at(self, rows: np.ndarray) -> _Labels:
        return _Labels(self.chosen[rows], self.first[rows], self.least[rows], self.bound[rows])


class LabelSearch:
    """Goes through the variables from the first to the last.

    Args:
        problem: The problem, its variables in the order of the elimination.
        elimination: How bounds are found.
        multipliers: Lagrangian multiplier of each limit, at least 0.
        most: Partial choices that are kept of each step.
    """

    def __init__(
        self,
        problem: Problem,
        elimination: Elimination,
        multipliers: np.ndarray,
        *,
        most: int,
    ) -> None:
        self._problem, self._elimination, self._most = problem, elimination, most
        weights = [np.concatenate([[1.0], multipliers]), *np.eye(problem.quantities)[1:]]
        runs = [elimination.run(item) for item in weights]
        # The Lagrangian first, then each limited quantity alone.
        self._arrays = [arrays for _, arrays in runs]
        self._start = np.array([least for least, _ in runs])
        self._start[0] -= float(multipliers @ problem.limits)

    def run(self, known: float) -> tuple[list[int] | None, float]:
        """Search for what is better than a known value of the first quantity.

        Returns:
            The best choice, None where nothing better was found, and the least value that what
            was dropped for lack of room could have; infinite if nothing was.
        """
        labels = _Labels(
            np.zeros((1, 0), dtype=np.int16),
            self._problem.constant[:1].copy(),
            self._start[None, 1:],
            self._start[:1],
        )
        dropped = np.inf
        for place in range(len(self._problem.sizes)):
            labels = self._extended(labels, place, known)
            labels = labels.at(self._undominated(labels, place))
            if len(labels.bound) > self._most:
                order = np.argpartition(labels.bound, self._most)
                dropped = min(dropped, float(labels.bound[order[self._most :]].min()))
                labels = labels.at(order[: self._most])
        holds = (labels.least <= self._problem.limits).all(1) & (labels.first < known)
        labels = labels.at(np.flatnonzero(holds))
        if not len(labels.first):
            return None, dropped
        return labels.chosen[int(labels.first.argmin())].tolist(), dropped

    def _extended(self, labels: _Labels, place: int, known: float) -> _Labels:
        """Add a variable with all of its choices; what breaks a limit or is no better goes."""
        count, size = len(labels.bound), self._problem.sizes[place]
        sums = [np.repeat(labels.bound[:, None], size, 1)]
        sums += [np.repeat(column[:, None], size, 1) for column in labels.least.T]
        first = np.repeat(labels.first[:, None], size, 1)
        tables = self._problem.tables
        for lot in self._elimination.lots[place]:
            for number in lot.inputs:
                scope = self._elimination.scopes[number][:-1]
                rows = tuple(labels.chosen[:, item] for item in scope)
                for total, arrays in zip(sums, self._arrays, strict=True):
                    total += arrays[number][rows]
                if number < len(tables):
                    first += tables[number].values[0][rows]
            rows = tuple(labels.chosen[:, item] for item in lot.scope)
            for total, arrays in zip(sums, self._arrays, strict=True):
                total -= np.asarray(arrays[lot.message][rows]).reshape(-1, 1)
        fits = sums[0] < known - _SLACK * max(abs(known), 1.0) if np.isfinite(known) else True
        for total, limit in zip(sums[1:], self._problem.limits, strict=True):
            fits = fits & (total <= limit + _ROUNDING * abs(limit))
        parents, options = np.nonzero(np.broadcast_to(fits, (count, size)))
        chosen = np.concatenate([labels.chosen[parents], options[:, None].astype(np.int16)], axis=1)
        return _Labels(
            chosen,
            first[parents, options],
            np.stack([total[parents, options] for total in sums[1:]], axis=1),
            sums[0][parents, options],
        )

    def _undominated(self, labels: _Labels, place: int) -> np.ndarray:
        """Return the rows that no other row of the same state beats in all quantities."""
        state = self._state(labels.chosen, place)
        if state is None:
            return np.arange(len(labels.bound))
        keys = [labels.first, *labels.least.T[::-1], state]
        order = np.lexsort(keys)
        if labels.least.shape[1] == 1:
            stays = _falling(state[order], labels.first[order])
        else:
            stays = _beaten_by_none_near(state[order], labels.first[order], labels.least[order])
        return np.asarray(order[stays])

    def _state(self, chosen: np.ndarray, place: int) -> np.ndarray | None:
        """Number what later tables see of the choices; None where that are too many numbers."""
        later = {
            item
            for lots in self._elimination.lots[place + 1 :]
            for lot in lots
            for number in lot.inputs
            for item in self._elimination.scopes[number]
            if item <= place
        }
        state, total = np.zeros(len(chosen), dtype=np.int64), 1
        for item in sorted(later):
            total *= self._problem.sizes[item]
            if total >= 2**62:
                return None
            state = state * self._problem.sizes[item] + chosen[:, item]
        return state


def _falling(state: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return which rows are less than all before them of the same state.

    Rows are ordered by state, then by the limited quantity.
    """
    ranks = np.unique(first, return_inverse=True)[1].astype(np.int64)
    groups = np.concatenate([[0], np.cumsum(np.diff(state) != 0)]) if len(state) else state
    # Later states begin below all earlier ones.
    lowered = ranks - groups * (len(first) + 1)
    before = np.concatenate([[np.iinfo(np.int64).max], np.minimum.accumulate(lowered)[:-1]])
    return np.asarray(lowered < before)[: len(first)]


def _beaten_by_none_near(
    state: np.ndarray, first: np.ndarray, least: np.ndarray, *, near: int = 16
) -> np.ndarray:
    """Return which rows none of the rows just before them beats; some that are beaten may stay."""
    stays = np.ones(len(first), dtype=bool)
    for step in range(1, min(near, len(first) - 1) + 1):
        beats = (
            (state[:-step] == state[step:])
            & (first[:-step] <= first[step:])
            & (least[:-step] <= least[step:]).all(1)
        )
        stays[step:] &= ~beats
    return stays
