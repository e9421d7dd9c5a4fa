"""What a sweep is: its options, its points, and what it passes on while it runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.records.codec import Count
from analysis.records.probe import ProbePart
from analysis.records.progress import Progress
from analysis.records.record import Document, GroupOrLayer
from analysis.records.subject import SubjectSpec
from analysis.records.sums import SliceCounts, Sums
from pruners.errors import InputError

Granularity = str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec(Document):
    """A sweep that can be repeated: the subject and the grid of points.

    Attributes:
        subject: What is studied.
        criteria: Names of the criteria, at least one, all different.
        granularity: ``element``, ``channel``, ``head``, ``block:NxM`` or ``n:m``.
        ratios: Requested ratios in [0, 1), at least one, rising.
        rounding: How a ratio becomes a number of units, one of `pruners.granularity.ROUNDINGS`.
        layers: Glob over layer names, or several joined by commas; ``*`` takes all.
        mode: ``exhaustive`` measures every point on every sample; ``adaptive`` stops early.
        tolerance: Drop that the adaptive mode decides on, at least 0; of accuracy a fraction
            (0.01 = 1 pp).
        confidence: Confidence of the intervals and of adaptive decisions, inside (0, 1).
        repair: ``none``, ``bn`` or ``lsq``.
        semantics: ``removal`` (as if physically removed) or ``weights`` (weight and bias masked).
        reduction: How member layers' scores join in a coupled group.
        precision: ``float32``, or ``bf16`` with close answers done again exactly.
        probe: The changes of the outputs of the first so many samples are kept, to predict plans;
            None takes as many as a bounded size allows. A run that began has a number.
        executor: ``local``, or ``ray`` to share the batches among a cluster's workers.
        ray_address: The cluster; ``auto`` takes ``RAY_ADDRESS`` or one on this machine.

    Raises:
        InputError: Criteria, ratios, tolerance or confidence are not as said.
    """

    subject: SubjectSpec
    criteria: tuple[str, ...] = ("l1", "fpgm", "taylor")
    granularity: Granularity = "channel"
    ratios: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    rounding: str = "half-up"
    layers: str = "*"
    mode: str = "exhaustive"
    tolerance: float = 0.01
    confidence: float = 0.95
    repair: str = "none"
    semantics: str = "removal"
    reduction: str = "mean"
    precision: str = "float32"
    probe: Count | None = None
    executor: str = "local"
    ray_address: str = "auto"

    def __post_init__(self) -> None:
        if not self.criteria or not self.ratios:
            raise InputError("a sweep needs at least one criterion and one ratio")
        if len(set(self.criteria)) != len(self.criteria):
            raise InputError(f"criteria must differ, found {', '.join(self.criteria)}")
        if not all(0 <= ratio < 1 for ratio in self.ratios):
            raise InputError(f"ratios must be in [0, 1), found {list(self.ratios)}")
        if any(first >= second for first, second in itertools.pairwise(self.ratios)):
            raise InputError(f"ratios must rise without repeats, found {list(self.ratios)}")
        if not 0 <= self.tolerance < math.inf:
            raise InputError(f"the tolerance must be a number from 0, found {self.tolerance}")
        if not 0 < self.confidence < 1:
            raise InputError(f"the confidence must be inside (0, 1), found {self.confidence}")

    @property
    def unit(self) -> str:
        """What its progress counts."""
        return "curves" if self.mode == "adaptive" else "samples"


@dataclass(frozen=True, slots=True, kw_only=True)
class PointKey(GroupOrLayer):
    """One cell of a sweep's grid.

    Attributes:
        layer: Module name; at channel granularity that of the group's first producer.
        group: The group's id; None where the granularity has no groups.
        kept: Number of units that stay; ``total`` of them exist. Both are 0 where an imported file
            does not say how many there are.
    """

    criterion: str
    granularity: Granularity
    layer: str
    group: str | None
    ratio_requested: float
    kept: int
    total: int

    @property
    def ratio_achieved(self) -> float:
        """Fraction of the units that is removed."""
        return (self.total - self.kept) / self.total if self.total else self.ratio_requested


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPoint:
    """A point as it enters a run.

    Attributes:
        key: Its cell.
        cache_key: Fingerprint of everything that its numbers depend on.
        params: Parameters of the model with it removed physically; None if unknown.
        macs: MACs, likewise.
    """

    key: PointKey
    cache_key: str
    params: int | None
    macs: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPoint:
    """A point that was read from a file of another program.

    Attributes:
        key: Its cell.
        values: Its numbers by column of the points table, as ``accuracy`` and ``accuracy_drop``.
        samples: Samples behind them; 0 where the file does not say.
        params: Parameters of the model with it removed physically; None if unknown.
        macs: MACs, likewise.
        failure: Why it has no numbers; empty if it has.
    """

    key: PointKey
    values: Mapping[str, int | float]
    samples: int = 0
    params: int | None = None
    macs: int | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class SweepState:
    """What was measured before; a sweep goes on from it.

    Attributes:
        baseline: Sums of the dense model.
        sums: Sums by point, each over the first so many samples; a point is left out of the slices
            that it has, wherever it was measured.
        failed: Reasons by point.
        inferred: Why adaptive mode needs no more samples of a point.
        looks: What each slice showed of a point that adaptive mode has not decided: a sequential
            test is a matter of the slices in their order, which sums do not tell.
    """

    baseline: Sums = field(default_factory=Sums)
    sums: Mapping[PointKey, Sums] = field(default_factory=dict)
    failed: Mapping[PointKey, str] = field(default_factory=dict)
    inferred: Mapping[PointKey, str] = field(default_factory=dict)
    looks: Mapping[PointKey, tuple[SliceCounts, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SweepUpdate:
    """State of a sweep after one more slice; sums are cumulative.

    Attributes:
        progress: How far it is, in the unit of `SweepSpec.unit`.
        samples: Samples evaluated so far.
        baseline: Sums of the dense model.
        sums: Sums by point; points without a sum were not measured yet, or failed.
        failed: Reasons by point.
        seconds: Wall time of this call so far.
        eta_seconds: Expected wall time that is left.
        inferred: Why a point was not measured on every sample, in adaptive mode. Some of them
            have sums of the samples that decided, some have none.
        looks: What each slice showed of a point that is not decided, in adaptive mode.
        probe: Outputs of the samples of this slice that belong to the probe; None without any.
    """

    progress: Progress
    samples: int
    baseline: Sums
    sums: Mapping[PointKey, Sums]
    failed: Mapping[PointKey, str]
    seconds: float
    eta_seconds: float
    inferred: Mapping[PointKey, str] = field(default_factory=dict)
    looks: Mapping[PointKey, tuple[SliceCounts, ...]] = field(default_factory=dict)
    probe: ProbePart[PointKey] | None = None

    @property
    def state(self) -> SweepState:
        """What resuming needs."""
        return SweepState(self.baseline, self.sums, self.failed, self.inferred, self.looks)
