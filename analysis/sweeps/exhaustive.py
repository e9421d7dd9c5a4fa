"""Exhaustive sweeps: every point on every sample, slice by slice."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from analysis.measuring import Cancel, Measured
from analysis.records import PointKey, ProbePart, Progress, Sums, SweepState, SweepUpdate
from analysis.sweeps.executors import open_executor
from analysis.sweeps.grid import Item
from analysis.sweeps.planned import PlannedSweep
from analysis.sweeps.timing import Pace, Work


class ExhaustiveSweep:
    """Measures every point on every sample.

    Args:
        planned: The sweep.
        state: What is known before.
    """

    def __init__(self, planned: PlannedSweep, state: SweepState) -> None:
        self._planned = planned
        self._slices = planned.slices
        self._start = time.perf_counter()
        self._baseline = state.baseline
        self._sums = dict(state.sums)
        self._failed = dict(state.failed)
        self._probe: ProbePart[PointKey] | None = None
        grid = planned.grid
        self._failed |= grid.failed
        self._dense_keys = grid.dense
        self._items = [item for item in grid.items if item.keys[0] not in self._failed]
        self._work = Work(planned.prepared.evaluator, self._items)
        self._pace = Pace()

    def run(self, cancel: Cancel) -> Iterator[SweepUpdate]:
        """Yield after each slice."""
        numbers = [number for number in range(len(self._slices)) if self._is_needed(number)]
        if not numbers:
            yield self._update(len(self._slices))
            return
        executor = open_executor(self._planned, self._items, jobs=len(numbers))
        with closing(executor):
            for first in range(0, len(numbers), executor.width):
                jobs = [
                    (number, self._open_items(number))
                    for number in numbers[first : first + executor.width]
                ]
                start = time.perf_counter()
                found = None if cancel() else executor.measure(jobs, cancel)
                if found is None:
                    return
                work = sum(self._work_of(*job) for job in jobs)
                setup = sum(measured.setup_seconds for measured in found)
                self._pace.note(work, time.perf_counter() - start - setup)
                for (number, _), measured in zip(jobs, found, strict=True):
                    self._add(number, measured)
                    yield self._update(number + 1)

    def _is_needed(self, number: int) -> bool:
        start = self._slices.start(number)
        return (
            self._baseline.samples <= start
            or bool(self._open_items(number))
            or any(self._is_open(key, number) for key in self._dense_keys)
        )

    def _open_items(self, number: int) -> list[Item]:
        return [
            item for item in self._items if any(self._is_open(key, number) for key in item.keys)
        ]

    def _is_open(self, key: PointKey, number: int) -> bool:
        """Return whether a point lacks a slice."""
        return key not in self._sums or self._sums[key].samples <= self._slices.start(number)

    def _add(self, number: int, measured: Measured[Item]) -> None:
        probe = measured.probe
        self._probe = None if probe is None else probe.named(lambda item: item.keys)
        if self._baseline.samples <= self._slices.start(number):
            self._baseline += measured.baseline
        for item in self._items:
            for key in item.keys:
                if item in measured.failed:
                    self._failed[key] = measured.failed[item]
                    self._sums.pop(key, None)
                elif self._is_open(key, number):
                    self._sums[key] = self._sums.get(key, Sums()) + measured.sums[item]
        for key in self._dense_keys:
            if self._is_open(key, number):
                self._sums[key] = self._sums.get(key, Sums()) + measured.baseline
        self._items = [item for item in self._items if item not in measured.failed]

    def _work_of(self, number: int, items: Sequence[Item]) -> float:
        samples = self._slices.size(number)
        return self._work.of(dict.fromkeys(items, samples), dense=samples)

    def _update(self, done: int) -> SweepUpdate:
        rest = range(done, len(self._slices))
        work = sum(self._work_of(number, self._open_items(number)) for number in rest)
        samples = self._slices.start(done)
        return SweepUpdate(
            progress=Progress(samples, self._slices.total, "samples"),
            samples=samples,
            baseline=self._baseline,
            sums=dict(self._sums),
            failed=dict(self._failed),
            seconds=time.perf_counter() - self._start,
            eta_seconds=self._pace.seconds_left(work),
            probe=self._probe,
        )
