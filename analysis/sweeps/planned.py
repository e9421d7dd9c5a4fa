"""A sweep, planned once: its points, their edits and its slices, for whoever measures it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from analysis.edits import CPU_BATCH, PreparedSubject
from analysis.measuring import Slices
from analysis.records import PlannedPoint, PointKey, SweepSpec
from analysis.subjects.data import Split
from analysis.sweeps.fingerprints import planned_points
from analysis.sweeps.grid import Grid, group_points
from analysis.sweeps.mode import SweepMode
from pruners.errors import InputError

# Adaptive: broken points are plain to see by then.
ADAPTIVE_LOOKS = (64, 128)
# A set is cut into this many batches at least, if that leaves enough for one.
ADAPTIVE_BATCHES = 8
# Multiply-adds that a GPU does in seconds.
QUICK_MACS = 2e14
# Exhaustive: every curve has a coarse shape after this share of the samples, ...
COARSE_SHARE = 1 / 16
# ... unless the first batch is no larger than this share anyway.
SMALL_SHARE = 1 / 10


@dataclass(eq=False)
class PlannedSweep:
    """What a sweep is going to measure.

    Attributes:
        prepared: The subject.
        spec: What was asked.
        points: Its points by layer (execution order), criterion and ratio.
        mode: How much of the grid is measured.
    """

    prepared: PreparedSubject
    spec: SweepSpec
    points: tuple[PointKey, ...]
    mode: SweepMode

    @cached_property
    def slices(self) -> Slices:
        """The slices in which the evaluation set is read.

        Raises:
            InputError: The subject has no data.
        """
        split, size = require_data(self.prepared), self.prepared.batch_size
        if self.mode.stops_early and self.spec.subject.batch_size is None:
            # It can stop at the end of a batch only.
            size = min(size, max(CPU_BATCH, len(split) // ADAPTIVE_BATCHES))
        return sweep_slices(split, size, self.mode, is_quick=self._is_quick(len(split)))

    def _is_quick(self, samples: int) -> bool:
        """Return whether all of it takes a GPU no longer than people wait for a first look."""
        if self.prepared.subject.example.device.type == "cpu":
            return False
        return self.prepared.cost.dense.macs * samples * len(self.points) < QUICK_MACS

    @cached_property
    def identified(self) -> tuple[PlannedPoint, ...]:
        """The points with their fingerprints and their size after removal."""
        return planned_points(self.prepared, self.spec, self.points)

    @cached_property
    def grid(self) -> Grid:
        """The points by what measuring them takes; reads the calibration set at first.

        Raises:
            InputError: A criterion needs calibration data and the subject has none.
        """
        self.prepared.prepare(self.spec.criteria)
        return group_points(self.prepared, self.spec, self.points)


def require_data(prepared: PreparedSubject) -> Split:
    """Return the evaluation data.

    Raises:
        InputError: There is none.
    """
    if prepared.subject.evaluation is None:
        raise InputError("a sweep needs evaluation data; give a data address")
    return prepared.subject.evaluation


def sweep_slices(split: Split, size: int, mode: SweepMode, *, is_quick: bool = False) -> Slices:
    """Return the slices in which a sweep reads its evaluation set.

    A first look at every curve must not take a large share of the whole time, and an adaptive
    sweep decides broken points on few samples.

    Args:
        split: The evaluation set.
        size: Samples a batch.
        mode: How much of the grid is measured.
        is_quick: Whether the whole sweep takes no longer than people wait for a first look.
    """
    if mode.stops_early:
        return Slices(split, size, looks=ADAPTIVE_LOOKS, come_back=True)
    is_cut = size > SMALL_SHARE * len(split) and not is_quick
    return Slices(split, size, looks=(coarse_look(len(split)),) if is_cut else ())


def coarse_look(total: int) -> int:
    """Return the number of samples after which an exhaustive sweep shows all curves at first."""
    return max(1, round(COARSE_SHARE * total))
