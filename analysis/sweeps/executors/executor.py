"""Where the slices of a sweep are measured: in this process, or on the workers of a cluster.

A sweep decides what is measured and in which order its sums are added; an executor only says who
measures it. That is why the final table is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from analysis.edits import PreparedSubject
from analysis.records import SweepSpec
from analysis.sweeps.executors.local import LocalExecutor
from analysis.sweeps.grid import Item
from analysis.sweeps.measuring import Cancel, Measured

# A slice of the evaluation set, by number, with the items to measure on it.
Task = tuple[int, Sequence[Item]]


class Executor(Protocol):
    """Measures tasks."""

    @property
    def width(self) -> int:
        """Tasks that are measured at the same time."""

    def measure(self, tasks: Sequence[Task], cancel: Cancel) -> list[Measured] | None:
        """Measure at most `width` tasks; return one result a task, or None if cancelled."""

    def close(self) -> None:
        """Free what measuring took."""


def open_executor(
    prepared: PreparedSubject, spec: SweepSpec, items: Sequence[Item], *, tasks: int
) -> Executor:
    """Return the executor that a sweep asks for.

    Args:
        prepared: The subject.
        spec: The sweep.
        items: All items that may be measured.
        tasks: Tasks of the largest round; more workers than that are of no use.

    Raises:
        InputError: There is no cluster, or Ray is not installed.
    """
    if spec.executor == "ray":
        from analysis.sweeps.executors.ray import RayExecutor

        return RayExecutor(prepared, spec, items, tasks=tasks)
    return LocalExecutor(prepared, spec, items)


def measure_shared(
    executor: Executor, number: int, items: Sequence[Item], cancel: Cancel
) -> Measured | None:
    """Measure the items of one slice, shared out among the workers; None if cancelled."""
    shares = [items[first :: executor.width] for first in range(executor.width)]
    found = executor.measure([(number, share) for share in shares if share], cancel)
    if found is None:
        return None
    joined = Measured(found[0].baseline)
    for measured in found:
        joined.sums |= measured.sums
        joined.failed |= measured.failed
        joined.setup_seconds += measured.setup_seconds
    return joined
