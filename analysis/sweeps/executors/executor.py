"""Where the slices of a sweep are measured: in this process, or on the workers of a cluster.

A sweep decides what is measured and in which order its sums are added; an executor only says who
measures it. That is why the final table is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from analysis.measuring import Cancel, Measured
from analysis.sweeps.executors.local import LocalExecutor
from analysis.sweeps.grid import Item
from analysis.sweeps.planned import PlannedSweep

# A slice of the evaluation set, by number, with the items to measure on it.
Job = tuple[int, Sequence[Item]]


class Executor(Protocol):
    """Measures jobs."""

    @property
    def width(self) -> int:
        """Jobs that are measured at the same time."""

    def measure(self, jobs: Sequence[Job], cancel: Cancel) -> list[Measured[Item]] | None:
        """Measure at most `width` jobs; return one result a job, or None if cancelled."""

    def close(self) -> None:
        """Free what measuring took."""


def open_executor(planned: PlannedSweep, items: Sequence[Item], *, jobs: int) -> Executor:
    """Return the executor that a sweep asks for.

    Args:
        planned: The sweep.
        items: All items that may be measured.
        jobs: Jobs of the largest round; more workers than that are of no use.

    Raises:
        InputError: There is no cluster, or Ray is not installed.
    """
    if planned.spec.executor == "ray":
        from analysis.sweeps.executors.ray import RayExecutor

        return RayExecutor(planned.prepared, planned.spec, items, jobs=jobs)
    return LocalExecutor(planned.prepared, planned.spec, items, planned.slices)


def measure_shared(
    executor: Executor, number: int, items: Sequence[Item], cancel: Cancel
) -> Measured[Item] | None:
    """Measure the items of one slice, shared out among the workers; None if cancelled."""
    shares = [items[first :: executor.width] for first in range(executor.width)]
    found = executor.measure([(number, share) for share in shares if share], cancel)
    if found is None:
        return None
    joined: Measured[Item] = Measured(found[0].baseline)
    for measured in found:
        joined.sums |= measured.sums
        joined.failed |= measured.failed
        joined.setup_seconds += measured.setup_seconds
    return joined
