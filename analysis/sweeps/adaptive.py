"""Adaptive sweeps: the largest ratio each curve tolerates, with as few samples as that takes.

Each curve is bisected over its grid of ratios. A point is measured on slice after slice of the
evaluation set until an anytime-valid test (`analysis.uncertainty.sequential`) decides whether its
drop exceeds the tolerance. Points below one that is tolerated, and above one that exceeds, are
implied: curves are taken to fall as more is removed.

The chance of error is shared out: each point's test gets (1 - confidence) / tests of a bisection,
so that a curve's answer equals the exhaustive one with the stated confidence, as far as the curve
is monotone. That many are enough: an answer is wrong only if one of the points that an errorless
bisection would visit is decided wrongly, and these do not depend on the order of the samples.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil, log2

from analysis.measuring import Cancel, Measured
from analysis.records import (
    PointKey,
    ProbePart,
    Progress,
    SliceCounts,
    Sums,
    SweepState,
    SweepUpdate,
)
from analysis.sweeps.executors import Executor, measure_shared, open_executor, with_changes
from analysis.sweeps.grid import Item
from analysis.sweeps.planned import PlannedSweep
from analysis.sweeps.timing import Pace, Work
from analysis.tasks import CLASSIFICATION, Task
from analysis.uncertainty import Decision, SequentialTest, level


@dataclass(slots=True, eq=False)
class _Curve:
    """The search on one curve.

    Attributes:
        keys: Its points in rising ratio, those that could be scored.
        low: Position of the largest ratio known to be tolerated; -1 is the dense model.
        high: Position of the smallest ratio known to exceed the tolerance.
    """

    keys: list[PointKey]
    low: int
    high: int

    @property
    def is_decided(self) -> bool:
        return self.high - self.low <= 1

    @property
    def candidate(self) -> PointKey:
        """The point that halves what is open."""
        return self.keys[(self.low + self.high) // 2]

    def settle(self, key: PointKey, decision: Decision) -> None:
        position = self.keys.index(key)
        if decision == "tolerated":
            self.low = max(self.low, position)
        else:
            self.high = min(self.high, position)

    def drop(self, key: PointKey) -> None:
        """Go on without a point that failed."""
        position = self.keys.index(key)
        del self.keys[position]
        self.high -= int(position < self.high)
        self.low -= int(position <= self.low)


@dataclass(slots=True, eq=False)
class _Point:
    """What is known of one mask.

    Attributes:
        task: Says what a slice showed.
        test: The sequential test.
        level: Confidence of the intervals that the test looks at, if it does.
        sums: Sums over the slices so far.
        looks: What each of the slices showed.
    """

    task: Task
    test: SequentialTest
    level: float
    sums: Sums = field(default_factory=Sums)
    looks: list[SliceCounts] = field(default_factory=list)

    @property
    def part(self) -> int:
        """Number of the slice that comes next."""
        return len(self.looks)

    def add(self, sums: Sums) -> None:
        """Add the next slice."""
        self.sums += sums
        self.looks.append(self.task.look(sums, self.sums, self.level))
        self.test.update(self.looks[-1])

    def adopt(self, sums: Sums) -> None:
        """Take over sums that a decision was made on, or that are those of the whole set."""
        self.sums = sums
        self.test.adopt(self.task.drop(sums), sums.samples)


class AdaptiveSweep:
    """Searches every curve for the largest ratio that it tolerates.

    Args:
        planned: The sweep.
        state: What is known before.
    """

    def __init__(self, planned: PlannedSweep, state: SweepState) -> None:
        self._planned = planned
        self._spec = planned.spec
        self._task = planned.prepared.subject.task
        self._start = time.perf_counter()
        self._slices = planned.slices
        self._population = planned.slices.total
        grid = planned.grid
        self._failed = {**state.failed, **grid.failed}
        self._dense_keys = set(grid.dense)
        self._item_of = {key: item for item in grid.items for key in item.keys}
        self._alpha = (1 - self._spec.confidence) / max_tests(len(self._spec.ratios))
        self._curves = self._built(planned.points)
        self._work = Work(planned.prepared.evaluator, grid.items)
        self._pace = Pace()
        self._points: dict[Item, _Point] = {}
        self._baseline = Sums()
        self._baseline_pieces = 0
        self._probe: ProbePart[PointKey] | None = None
        self._resume(state)

    def _built(self, points: Sequence[PointKey]) -> list[_Curve]:
        by_curve: dict[tuple[str, str | None, str], list[PointKey]] = {}
        for key in points:
            if key not in self._failed:
                by_curve.setdefault((key.layer, key.group, key.criterion), []).append(key)
        curves = []
        for keys in by_curve.values():
            curve = _Curve(keys, -1, len(keys))
            for key in keys:
                if key in self._dense_keys:
                    curve.settle(key, "tolerated")
            curves.append(curve)
        return curves

    def _resume(self, state: SweepState) -> None:
        """Take over the points that were decided, and go on with those whose looks are known.

        Others, of which an exhaustive sweep measured a part, begin anew.
        """
        for key, sums in state.sums.items():
            item = self._item_of.get(key)
            if item is None or item in self._points:
                continue
            if sums.samples == self._population or key in state.inferred:
                self._point(item).adopt(sums)
            elif self._are_looks_of(state.looks.get(key, ()), sums):
                point = self._point(item)
                point.sums = sums
                point.looks = list(state.looks[key])
                for look in point.looks:
                    point.test.update(look)
        part = self._slices.number_at(state.baseline.samples)
        if part is not None:
            self._baseline, self._baseline_pieces = state.baseline, part
        self._settle()

    def _are_looks_of(self, looks: Sequence[SliceCounts], sums: Sums) -> bool:
        """Return whether looks are those of the first slices of this sweep, and of these sums."""
        ends = tuple(accumulate(look.samples for look in looks))
        return bool(looks) and ends == self._slices.ends[: len(looks)] and ends[-1] == sums.samples

    def _point(self, item: Item) -> _Point:
        if item not in self._points:
            test = self._task.test(
                tolerance=self._spec.tolerance, population=self._population, alpha=self._alpha
            )
            confidence = level(self._alpha, len(self._slices))
            self._points[item] = _Point(self._task, test, confidence)
        return self._points[item]

    # --- searching ---------------------------------------------------------------------------

    def run(self, cancel: Cancel) -> Iterator[SweepUpdate]:
        """Yield after each slice until every curve is decided."""
        if self._waiting():
            items = list(dict.fromkeys(self._item_of.values()))
            executor = open_executor(self._planned, items, jobs=len(items))
            with closing(executor):
                yield from self._search(executor, cancel)
        if not self._waiting():
            yield self._update()

    def _search(self, executor: Executor, cancel: Cancel) -> Iterator[SweepUpdate]:
        while waiting := self._waiting():
            # Where most points wait, so that one dense pass serves many.
            number = max(waiting, key=lambda part: (len(waiting[part]), -part))
            items = waiting[number]
            self._probe = None
            while items:
                start = time.perf_counter()
                measured = measure_shared(executor, number, items, cancel)
                if measured is None:
                    return
                seconds = time.perf_counter() - start - measured.setup_seconds
                self._pace.note(self._work_of(number, items), seconds)
                self._add(number, measured)
                self._settle()
                # Curves that moved on may need the slice that is at hand.
                items = self._waiting().get(number, [])
            yield self._update()

    def _waiting(self) -> dict[int, list[Item]]:
        """Return the items that open curves need, by the slice that each needs next."""
        found: dict[int, list[Item]] = {}
        for curve in self._curves:
            if curve.is_decided:
                continue
            item = self._item_of[curve.candidate]
            items = found.setdefault(self._point(item).part, [])
            if item not in items:
                items.append(item)
        return found

    def _add(self, number: int, measured: Measured[Item]) -> None:
        if number == self._baseline_pieces:
            self._baseline += measured.baseline
            self._baseline_pieces += 1
        if measured.probe is not None:
            self._probe = with_changes(measured.probe.named(lambda item: item.keys), self._probe)
        for item, sums in measured.sums.items():
            point = self._point(item)
            point.add(sums)
            if point.test.decision is None and point.sums.samples >= self._population:
                point.adopt(point.sums)
        for item, reason in measured.failed.items():
            self._failed.update(dict.fromkeys(item.keys, reason))
            self._points.pop(item, None)
            for curve in self._curves:
                for key in item.keys:
                    if key in curve.keys:
                        curve.drop(key)

    def _settle(self) -> None:
        """Move every curve as far as the decisions that exist carry it."""
        for curve in self._curves:
            while not curve.is_decided:
                point = self._points.get(self._item_of[curve.candidate])
                decision = None if point is None else point.test.decision
                if decision is None:
                    break
                curve.settle(curve.candidate, decision)

    # --- reporting ---------------------------------------------------------------------------

    def _work_of(self, number: int, items: Sequence[Item]) -> float:
        samples = self._slices.size(number)
        is_first = number >= self._baseline_pieces
        return self._work.of(dict.fromkeys(items, samples), dense=samples if is_first else 0)

    def _work_left(self) -> float:
        """Return the work of the decisions that are expected until all curves are decided.

        A decision takes the samples that one took so far, those of points in mid-test included;
        one decision a curve of half of the set is added, for the easy ones come first.
        """
        tested = [point for point in self._points.values() if point.sums.samples]
        decided = sum(point.test.decision is not None for point in tested)
        count = decided + len(self._curves)
        spent = sum(point.sums.samples for point in tested)
        usual = (spent + len(self._curves) * self._population / 2) / max(count, 1)
        samples: dict[Item, float] = {}
        for curve in self._curves:
            if curve.is_decided:
                continue
            item = self._item_of[curve.candidate]
            seen = self._points[item].sums.samples if item in self._points else 0
            rest = min(max(usual - seen, usual / 2), self._population - seen)
            later = ceil(log2(curve.high - curve.low)) - 1
            samples[item] = samples.get(item, 0.0) + rest + usual * later
        return self._work.of(samples)

    def _update(self) -> SweepUpdate:
        decided = sum(curve.is_decided for curve in self._curves)
        is_done = decided == len(self._curves)
        sums = {
            key: point.sums
            for item, point in self._points.items()
            for key in item.keys
            if point.sums.samples
        }
        sums |= dict.fromkeys(self._dense_keys, self._baseline) if self._baseline.samples else {}
        return SweepUpdate(
            progress=Progress(decided, len(self._curves), "curves"),
            # The whole set counts as seen only when every answer is there.
            samples=self._population
            if is_done
            else min(self._baseline.samples, self._population - 1),
            baseline=self._baseline,
            sums=sums,
            failed=dict(self._failed),
            seconds=time.perf_counter() - self._start,
            eta_seconds=self._pace.seconds_left(self._work_left()),
            inferred=self._inferred(),
            looks={
                key: tuple(point.looks)
                for item, point in self._points.items()
                for key in item.keys
                if point.test.decision is None
            },
            probe=self._probe,
        )

    def _inferred(self) -> dict[PointKey, str]:
        reasons: dict[PointKey, str] = {}
        for curve in self._curves:
            for position, key in enumerate(curve.keys):
                if key in self._dense_keys:
                    continue
                point = self._points.get(self._item_of[key])
                reason = self._reason(curve, position, point)
                if reason:
                    reasons[key] = reason
        return reasons

    def _reason(self, curve: _Curve, position: int, point: _Point | None) -> str:
        """Say why a point needs no more samples than it has; empty if it has all or needs more."""
        tolerance = self._task.words.limit(self._spec.tolerance)
        if point is not None and point.sums.samples == self._population:
            return ""
        if point is not None and point.test.decision is not None:
            verb = "is at most" if point.test.decision == "tolerated" else "exceeds"
            return (
                f"decided after {point.sums.samples} of {self._population} samples: the drop "
                f"{verb} {tolerance} ({100 * self._spec.confidence:g} % confidence)"
            )
        if position < curve.low:
            ratio = curve.keys[curve.low].ratio_requested
            return f"implied: ratio {ratio:g} is tolerated at {tolerance}"
        if position > curve.high:
            ratio = curve.keys[curve.high].ratio_requested
            return f"implied: ratio {ratio:g} already exceeds {tolerance}"
        return ""


def max_tests(points: int) -> int:
    """Return how many points a bisection of a curve visits at most.

    >>> [max_tests(points) for points in (1, 2, 3, 4, 7, 9)]
    [1, 2, 2, 3, 3, 4]
    """
    return points.bit_length()


def answers(
    update: SweepUpdate, *, tolerance: float, task: Task = CLASSIFICATION
) -> Mapping[tuple[str, str], float]:
    """Return the largest tolerated ratio before the first crossing by (layer, criterion)."""
    found: dict[tuple[str, str], float] = {}
    crossed: set[tuple[str, str]] = set()
    for key, sums in sorted(update.sums.items(), key=lambda item: item[0].ratio_requested):
        curve = (key.layer, key.criterion)
        found.setdefault(curve, 0.0)
        if task.drop(sums) > tolerance + 1e-12:
            crossed.add(curve)
        elif curve not in crossed:
            found[curve] = key.ratio_requested
    return found
