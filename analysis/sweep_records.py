"""What a sweep passes on while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.records import PointKey, Sums
from analysis.stopping import Piece


@dataclass(frozen=True, slots=True)
class SweepState:
    """What was measured before; a sweep goes on from it.

    Attributes:
        batches: Complete pieces (adaptive mode: decided curves).
        baseline: Sums of the dense model.
        sums: Sums by point, each over the first so many samples; a point is left out of the pieces
            that it has, wherever it was measured.
        failed: Reasons by point.
        inferred: Why adaptive mode needs no more samples of a point.
        looks: What each piece showed of a point that adaptive mode has not decided: a sequential
            test is a matter of the pieces in their order, which sums do not tell.
    """

    batches: int = 0
    baseline: Sums = field(default_factory=Sums)
    sums: Mapping[PointKey, Sums] = field(default_factory=dict)
    failed: Mapping[PointKey, str] = field(default_factory=dict)
    inferred: Mapping[PointKey, str] = field(default_factory=dict)
    looks: Mapping[PointKey, tuple[Piece, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SweepUpdate:
    """State of a sweep after one more piece; sums are cumulative.

    Attributes:
        batch: Complete pieces (adaptive mode: decided curves).
        batches: All pieces (all curves).
        samples: Samples evaluated so far.
        baseline: Sums of the dense model.
        sums: Sums by point; points without a sum were not measured yet, or failed.
        failed: Reasons by point.
        seconds: Wall time of this call so far.
        eta_seconds: Expected wall time that is left.
        inferred: Why a point was not measured on every sample, in adaptive mode. Some of them
            have sums of the samples that decided, some have none.
        looks: What each piece showed of a point that is not decided, in adaptive mode.
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
    looks: Mapping[PointKey, tuple[Piece, ...]] = field(default_factory=dict)

    @property
    def state(self) -> SweepState:
        """What resuming needs."""
        return SweepState(
            self.batch, self.baseline, self.sums, self.failed, self.inferred, self.looks
        )
