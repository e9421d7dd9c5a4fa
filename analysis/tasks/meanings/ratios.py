"""A score that is a smooth function of sums, such as a ratio: intervals by the group jackknife."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.records import SliceCounts, Sums
from analysis.tasks.meanings.grouped import (
    Floats,
    Totals,
    by_group,
    group_terms,
    stems_of,
    with_ends,
)
from analysis.tasks.scoring import Scoring
from analysis.uncertainty import GROUPS, Interval, LooksTest, SequentialTest, group_jackknife

DENSE = "dense_"
SIZE = "n"


@dataclass(frozen=True, slots=True)
class GroupSums:
    """Sums by group, ``(GROUPS, terms)``.

    Attributes:
        shared: What does not depend on a model: samples, then such as the pixels of each class.
        dense: What the dense model showed.
        pruned: What the pruned one showed.
    """

    shared: Floats
    dense: Floats
    pruned: Floats


class SumRatio(Scoring):
    """A score that `value` computes from sums of terms.

    Terms, all of them by group: samples, `shared`, `own` of the dense and of the pruned model, and
    `extras`, which only `further` reads. Names with a star stand for one term a class or output:
    ``hit*`` for ``hit0``, ``hit1``, ....
    """

    shared: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    def value(self, shared: Floats, own: Floats) -> Floats:
        """Return the score from sums ``(..., terms)``, the higher the better, ``(...)``.

        On a scale where differences count: `shown` turns it into the score.

        Args:
            shared: Samples, then the terms of `shared`.
            own: Those of `own` of one model.
        """
        raise NotImplementedError

    def shown(self, value: float) -> float:
        """Return the score that a value stands for."""
        return value

    def lost(self, difference: float) -> float:
        """Return the drop that a difference of values stands for."""
        return difference

    # --- terms -------------------------------------------------------------------------------

    def stems(self, width: int) -> tuple[str, ...]:
        """Return the names of terms of a group.

        Args:
            width: For how many terms a star stands.
        """
        shared, own, extras = (
            _spelled(names, width) for names in (self.shared, self.own, self.extras)
        )
        return (SIZE, *shared, *(f"{DENSE}{name}" for name in own), *own, *extras)

    def terms_of(self, values: int) -> tuple[str, ...]:
        """Return the names of so many terms."""
        names = (*self.shared, *self.own, *self.own, *self.extras)
        wide = sum(name.endswith("*") for name in names)
        plain = 1 + len(names) - wide
        width = (values // GROUPS - plain) // wide if wide else 0
        return group_terms(self.stems(width))

    def grouped(self, sums: Sums) -> GroupSums:
        """Return the sums by group."""
        names = [name for name in stems_of(sums) if not self._is_extra(name)]
        dense = [name for name in names if name.startswith(DENSE)]
        pruned = [name.removeprefix(DENSE) for name in dense]
        shared = [name for name in names if name not in {SIZE, *dense, *pruned}]
        table = by_group(sums, [SIZE, *shared, *dense, *pruned])
        return GroupSums(*np.split(table, np.cumsum([1 + len(shared), len(dense)]), axis=1))

    def _is_extra(self, name: str) -> bool:
        return name in self.extras or f"{name.rstrip('0123456789')}*" in self.extras

    # --- scores ------------------------------------------------------------------------------

    def score(self, sums: Sums) -> float:
        """Return the score; NaN without samples."""
        return self.shown(float(self._values(sums)[1])) if sums.samples else float("nan")

    def score_interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        """Return the interval of the score by the group jackknife."""
        if not sums.samples:
            return Interval(float("nan"), float("nan"), "group-jackknife", 0)
        found = self.grouped(sums)
        value = float(self._values(sums)[1])
        without = self.value(*(without_each(item) for item in (found.shared, found.pruned)))
        interval = group_jackknife(value, without, found.shared[:, 0], confidence)
        ends = sorted((self.shown(interval.low), self.shown(interval.high)))
        return Interval(ends[0], ends[1], interval.method, interval.n)

    def drop(self, sums: Sums) -> float:
        """Return the drop; NaN without samples."""
        if not sums.samples:
            return float("nan")
        dense, pruned = self._values(sums)
        return self.lost(float(dense - pruned))

    def drop_interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        """Return the interval of the drop by the group jackknife: both models in each group."""
        if not sums.samples:
            return Interval(float("nan"), float("nan"), "group-jackknife", 0)
        found = self.grouped(sums)
        dense, pruned = self._values(sums)
        shared = without_each(found.shared)
        without = self.value(shared, without_each(found.dense)) - self.value(
            shared, without_each(found.pruned)
        )
        interval = group_jackknife(float(dense - pruned), without, found.shared[:, 0], confidence)
        low, high = self.lost(interval.low), self.lost(interval.high)
        return Interval(low, high, interval.method, interval.n)

    def same_share(self, sums: Sums) -> float | None:
        """Return the share of samples answered as by the dense model; None where unknown."""
        if not self.same or not sums.samples:
            return None
        return float(Totals(sums)[self.same][0]) / sums.samples

    def _values(self, sums: Sums) -> Floats:
        """Return the values of the dense and of the pruned model ``(2,)``."""
        found = self.grouped(sums)
        shared = found.shared.sum(0)
        both = [self.value(shared, item.sum(0)) for item in (found.dense, found.pruned)]
        return np.array(both, dtype=np.float64)

    def look(self, part: Sums, total: Sums, confidence: float) -> SliceCounts:
        """Return the interval of the drop on all samples so far."""
        interval = self.drop_interval(total, confidence)
        return SliceCounts(interval.low, interval.high, part.samples)

    def test(self, *, tolerance: float, population: int, alpha: float) -> SequentialTest:
        """Return the test of intervals at planned looks."""
        return LooksTest(tolerance=tolerance)

    def further(self, totals: Totals, *, has_labels: bool) -> Mapping[str, Floats]:
        """Return the values of further columns ``(1 + GROUPS,)``, as `Totals` are.

        Means of the extras that have a column, by default.
        """
        return {name: totals[name] / totals[SIZE] for name in self.extras if name in self.columns}

    def values(
        self, sums: Sums, dense: Sums | None, *, has_labels: bool, confidence: float = 0.95
    ) -> dict[str, float]:
        """Return what `further` does of all samples, with intervals by the group jackknife."""
        totals = Totals(sums)
        found: dict[str, float] = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            further = self.further(totals, has_labels=has_labels)
        for name, (value, *without) in further.items():
            interval = group_jackknife(float(value), np.array(without), totals.sizes, confidence)
            told = with_ends(name, float(value), interval)
            found |= {column: told[column] for column in told if column in self.columns}
        return found


def _spelled(names: Iterable[str], width: int) -> list[str]:
    """Return names, so many for each with a star."""
    return [
        name.replace("*", str(number))
        for name in names
        for number in range(width if name.endswith("*") else 1)
    ]


def without_each(table: Floats) -> Floats:
    """Return the sums of all groups but each, ``(GROUPS, terms)``."""
    rest: Floats = table.sum(0) - table
    return rest


def divided(above: Floats, below: Floats) -> Floats:
    """Return quotients, NaN where nothing is divided by."""
    quotients: Floats = np.divide(
        above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below != 0
    )
    return quotients
