"""An executor: this process, counting what it measured."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.sweeps import Item, PlannedSweep
from analysis.sweeps.executors import EXECUTORS, ExecutorKind, LocalExecutor

MEASURED: list[int] = []


class CountingExecutor(LocalExecutor):
    """Notes the numbers of the slices that it measures."""

    def measure(self, jobs, cancel):
        """Measure jobs, and note them."""
        MEASURED.extend(number for number, _ in jobs)
        return super().measure(jobs, cancel)


def counting(planned: PlannedSweep, items: Sequence[Item], *, jobs: int) -> CountingExecutor:
    """Return the executor of a sweep."""
    return CountingExecutor(planned.prepared, planned.spec, items, planned.slices)


EXECUTORS.register(
    ExecutorKind("counting", "Counting", "this process, which counts the slices", counting)
)
