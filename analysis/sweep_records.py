"""What a sweep passes on while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.records import PointKey, Sums


@dataclass(frozen=True, slots=True)
class SweepState:
    """What was measured before; a sweep goes on from it.

    Attributes:
        batches: Batches that need not be run: every point has their samples.
        baseline: Sums of the dense model.
        sums: Sums by point. A point may have more samples than ``batches`` says, from an earlier
            run that measured it: it is left out of the batches that it has.
        failed: Reasons by point.
        inferred: Why adaptive mode needs no more samples of a point.
    """

    batches: int = 0
    baseline: Sums = field(default_factory=Sums)
    sums: Mapping[PointKey, Sums] = field(default_factory=dict)
    failed: Mapping[PointKey, str] = field(default_factory=dict)
    inferred: Mapping[PointKey, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SweepUpdate:
    """State of a sweep after one more batch; sums are cumulative.

    Attributes:
        batch: Complete batches.
        batches: All batches.
        samples: Samples evaluated so far.
        baseline: Sums of the dense model.
        sums: Sums by point; points without a sum were not measured yet, or failed.
        failed: Reasons by point.
        seconds: Wall time of this call so far.
        eta_seconds: Expected wall time that is left.
        inferred: Why a point was not measured on every sample, in adaptive mode. Some of them
            have sums of the samples that decided, some have none.
    """

    batch: int
    batches: int
    samples: int
    baseline: Sums
    sums: Mapping[PointKey, Sums]
    failed: Mapping[PointKey, str]
    seconds: float
    eta_seconds: float
    inferred: Mapping[PointKey, str] = field(default_factory=dict)

    @property
    def state(self) -> SweepState:
        """What resuming needs."""
        return SweepState(self.batch, self.baseline, self.sums, self.failed, self.inferred)
