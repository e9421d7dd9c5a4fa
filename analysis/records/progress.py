"""How far something is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.records.codec import Count
from analysis.records.record import Record


@dataclass(frozen=True, slots=True)
class Progress(Record):
    """How far something is.

    Attributes:
        done: Units that are done.
        total: All units; None while that is unknown.
        unit: What is counted, in the plural, such as ``samples`` or ``curves``.
    """

    done: Count = 0
    total: Count | None = None
    unit: str = "samples"

    @property
    def fraction(self) -> float:
        """Share that is done, 0..1."""
        return self.done / self.total if self.total else 0.0

    @property
    def is_complete(self) -> bool:
        """Whether all is done."""
        return self.done == self.total


OnProgress = Callable[[Progress], None]


def counting(progress: OnProgress | None, unit: str) -> Callable[[int, int | None], None] | None:
    """Return what `pruners` calls with (done, total); None if nobody listens."""
    if progress is None:
        return None
    return lambda done, total: progress(Progress(done, total, unit))
