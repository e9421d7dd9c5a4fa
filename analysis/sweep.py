"""Sensitivity sweeps: every point of a grid, measured batch by batch.

For each batch the dense model runs once, then every point as an edit. All curves appear after the
first batch and sharpen together; whoever stops the generator keeps what was measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from torch import Tensor

from analysis.adaptive import iter_adaptive
from analysis.context import SubjectContext
from analysis.grid import (
    Item,
    SweepEstimate,
    estimate_cost,
    group_points,
    plan_sweep,
    require_data,
)
from analysis.measure import Cancel, Measured, PointMeasurer, read_batches
from analysis.records import PointKey, Sums, SweepSpec
from analysis.subject import Split
from analysis.sweep_records import SweepState, SweepUpdate
from pruners.errors import UnknownNameError, UnsupportedError

__all__ = [
    "SweepEstimate",
    "SweepState",
    "SweepUpdate",
    "estimate_cost",
    "iter_sweep",
    "plan_sweep",
]

MODES = ("exhaustive", "adaptive")


def iter_sweep(
    context: SubjectContext,
    spec: SweepSpec,
    *,
    resume: SweepState | None = None,
    cancel: Cancel = lambda: False,
) -> Iterator[SweepUpdate]:
    """Measure the points of a sweep, and yield after each batch.

    Adaptive mode measures only what its answers need; see `analysis.adaptive`.
    A point that fails is recorded with its reason and the rest goes on. When ``cancel`` turns
    true, the batch in flight is dropped and the generator ends.

    Args:
        context: The subject.
        spec: The sweep.
        resume: What an earlier call measured; its batches are not measured again.
        cancel: Asked before each point.

    Raises:
        InputError: The sweep cannot be done, or the data raises in a batch.
    """
    if spec.mode == "adaptive":
        if spec.executor == "ray":
            raise UnsupportedError("executor ray measures exhaustive sweeps only; use local")
        yield from iter_adaptive(context, spec, resume=resume or SweepState(), cancel=cancel)
        return
    if spec.mode != "exhaustive":
        raise UnknownNameError("mode", spec.mode, MODES)
    points = plan_sweep(context, spec)
    split = require_data(context)
    context.prepare(spec.criteria)
    yield from _Sweep(context, spec, points, split, resume or SweepState()).run(cancel)


class _Sweep:
    def __init__(
        self,
        context: SubjectContext,
        spec: SweepSpec,
        points: Sequence[PointKey],
        split: Split,
        state: SweepState,
    ) -> None:
        self._context = context
        self._spec = spec
        self._split = split
        self._size = spec.subject.batch_size
        self._batches = -(-len(split) // self._size)
        self._start = time.perf_counter()
        self._first_batch = state.batches
        self._offset = 0
        self._baseline = state.baseline
        self._sums = dict(state.sums)
        self._failed = dict(state.failed)
        grid = group_points(context, spec, points)
        self._failed |= grid.failed
        self._dense_keys = grid.dense
        self._items = [item for item in grid.items if item.keys[0] not in self._failed]
        self._measurer = PointMeasurer(context, spec, self._items)

    def run(self, cancel: Cancel) -> Iterator[SweepUpdate]:
        return self._run_ray(cancel) if self._spec.executor == "ray" else self._run_local(cancel)

    def _run_ray(self, cancel: Cancel) -> Iterator[SweepUpdate]:
        """Measure rounds of batches on a cluster; add them in the order of a local run."""
        from analysis.executors.ray import RayExecutor

        subject = self._context.subject
        identity = (subject.fingerprint, subject.data_fingerprint)
        left = self._batches - self._first_batch
        executor = RayExecutor(identity, self._spec, self._items, left)
        try:
            for first in range(self._first_batch, self._batches, executor.width):
                numbers = range(first, min(first + executor.width, self._batches))
                tasks = [(number, self._open_items(number)) for number in numbers]
                found = None if cancel() else executor.measure(tasks, cancel)
                if found is None:
                    return
                for number, measured in zip(numbers, found, strict=True):
                    self._offset = number * self._size
                    self._add(measured)
                    yield self._update(number + 1)
        finally:
            executor.close()

    def _open_items(self, number: int) -> list[Item]:
        self._offset = number * self._size
        return [item for item in self._items if any(self._is_open(key) for key in item.keys)]

    def _run_local(self, cancel: Cancel) -> Iterator[SweepUpdate]:
        for number, (inputs, labels) in enumerate(read_batches(self._split, self._size)):
            if number < self._first_batch:
                continue
            if cancel() or not self._measure(number, inputs, labels, cancel):
                break
            yield self._update(number + 1)
        self._context.evaluator.release()

    def _measure(self, number: int, inputs: Tensor, labels: Tensor | None, cancel: Cancel) -> bool:
        """Add one batch to the sums; False if cancelled, with nothing added."""
        open_items = self._open_items(number)
        measured = self._measurer.measure(inputs, labels, open_items, cancel=cancel)
        if measured is None:
            return False
        self._add(measured)
        return True

    def _is_open(self, key: PointKey) -> bool:
        """Return whether a point lacks the batch at hand."""
        return key not in self._sums or self._sums[key].samples <= self._offset

    def _add(self, measured: Measured) -> None:
        if self._baseline.samples <= self._offset:
            self._baseline += measured.baseline
        for item in self._items:
            for key in item.keys:
                if item in measured.failed:
                    self._failed[key] = measured.failed[item]
                    self._sums.pop(key, None)
                elif self._is_open(key):
                    self._sums[key] = self._sums.get(key, Sums()) + measured.sums[item]
        for key in filter(self._is_open, self._dense_keys):
            self._sums[key] = self._sums.get(key, Sums()) + measured.baseline
        self._items = [item for item in self._items if item not in measured.failed]

    def _update(self, done: int) -> SweepUpdate:
        seconds = time.perf_counter() - self._start
        pace = seconds / (done - self._first_batch)
        return SweepUpdate(
            batch=done,
            batches=self._batches,
            samples=min(done * self._size, len(self._split)),
            baseline=self._baseline,
            sums=dict(self._sums),
            failed=dict(self._failed),
            seconds=seconds,
            eta_seconds=pace * (self._batches - done),
        )
