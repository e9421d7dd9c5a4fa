"""Who measures the slices of a sweep: this process, or the workers of a cluster.

A sweep decides what is measured and in which order its sums are added; an executor only says who
measures it. That is why the final table is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from analysis.measuring import Cancel, Measured
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


class Opener(Protocol):
    """Opens an executor for one sweep."""

    def __call__(self, planned: PlannedSweep, items: Sequence[Item], *, jobs: int) -> Executor:
        """Return the executor.

        Args:
            planned: The sweep.
            items: All items that may be measured.
            jobs: Jobs of the largest round; more workers than that are of no use.

        Raises:
            InputError: What it needs is missing; the message says what to do.
        """


@dataclass(frozen=True, slots=True)
class ExecutorKind:
    """A registered executor.

    Attributes:
        name: Name on the command line and in runs.
        label: Name on pages.
        help: Where it measures, in plain words.
        open: Opens it for one sweep.
    """

    name: str
    label: str
    help: str
    open: Opener
