"""What is known of a plan before it is measured: what its layers did alone, and would together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.curves import is_known
from analysis.plans import achieved, pruned_entries
from analysis.prediction.superposition import together
from analysis.records import Plan, PlanEntry, PointKey, Probe
from analysis.tasks import Task

# Changes that move outputs turn out to be larger than their sum, see `together`.
GAINS = (1.0, 1.5, 2.2)
# Between its points a curve of drops lies below the straight line: so much of the way to the drops
# of the changes between them, which are straight.
BENT = 0.5
# Even where a curve stands still between two points, it may do something else in between.
LEAST_STEP = 0.002
# On fewer samples nothing is told.
FEWEST = 50
# Plans whose signs are remembered: those that were measured are asked for again and again.
MAX_KNOWN = 2000
CurveName = tuple[str, str, str]
# A curve, and the place of its point at the upper end.
Interval = tuple[CurveName, int]


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known of a plan.

    Attributes:
        ratios: What is removed of each pruned layer, by name.
        added: The sum of their single drops.
        together: Drops of all of them together, by gain: the sum, and what the probe tells of how
            much they differ from it.
        bend: By how much single drops between points are larger as those of straight changes than
            on straight lines, added up; often below 0.
        evenness: How far the changes are from being those of one layer, 0..1.
        samples: Samples of the probe that tell it.
        extrapolated: Layers asked beyond their last measured ratio.
        between: For each interval of a curve that an entry is in, how far it is from the lower to
            the upper end, 0..1, and by how much the drops of the ends differ.
    """

    ratios: Mapping[str, float]
    added: float
    together: tuple[float, ...]
    bend: float
    evenness: float
    samples: int
    extrapolated: tuple[str, ...] = ()
    between: Mapping[Interval, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """A curve at a ratio: drop on all samples, drop and change on the probe's, and its interval."""

    drop: float
    probed: float
    change: Tensor
    interval: int
    weight: float
    step: float


@dataclass(frozen=True, slots=True, eq=False)
class _Curve:
    """A curve: rising ratios with the drop on all samples, and change and drop on the probe's."""

    ratios: np.ndarray
    drops: np.ndarray
    changes: tuple[Tensor, ...]
    probed: np.ndarray

    def at(self, ratio: float) -> _Reading:
        """Read the curve at a ratio, on lines; at 0 nothing changes."""
        ratio = min(ratio, float(self.ratios[-1]))
        above = int(np.searchsorted(self.ratios, ratio))
        low = float(self.ratios[above - 1]) if above else 0.0
        weight = (ratio - low) / (float(self.ratios[above]) - low)
        change = self.changes[above].float() * weight
        if above:
            before = self.changes[above - 1].float()
            count = min(len(before), len(change))
            change = change[:count] + before[:count] * (1 - weight)
        ends = [
            (float(values[above - 1]) if above else 0.0, float(values[above]))
            for values in (self.drops, self.probed)
        ]
        drop, probed = (first + (last - first) * weight for first, last in ends)
        return _Reading(drop, probed, change, above, weight, abs(ends[0][1] - ends[0][0]))


class ProbedCurves:
    """Curves of a run with their changes of the probe's outputs.

    Args:
        points: The points table of the run.
        probe: Its probe.
        task: Scores outputs.
    """

    def __init__(self, points: pd.DataFrame, probe: Probe, task: Task) -> None:
        self._dense = torch.from_numpy(probe.dense)
        self._truth = torch.from_numpy(probe.truth)
        self._task = task
        self._scores = task.scores(self._dense, self._dense, self._truth)
        self._curves = self._read(points, probe.changes)
        self._known: dict[Hashable, Signs | None] = {}

    def signs(self, plan: Plan) -> Signs | None:
        """Return what is known of a plan; None where a layer of it has no curve on the probe."""
        entries = pruned_entries(plan)
        content = tuple(
            (item.criterion, item.granularity, item.name, item.kept) for item in entries
        )
        if content not in self._known:
            if len(self._known) > MAX_KNOWN:
                self._known.clear()
            self._known[content] = self._found(entries)
        return self._known[content]

    def _found(self, entries: Iterable[PlanEntry]) -> Signs | None:
        added, expected, changes, extrapolated = 0.0, 0.0, [], []
        between: dict[Interval, tuple[float, float]] = {}
        for entry in entries:
            name = (entry.criterion, entry.granularity, entry.name)
            curve = self._curves.get(name)
            if curve is None:
                return None
            read = curve.at(achieved(entry))
            added += read.drop
            expected += read.probed
            changes.append(read.change)
            between[name, read.interval] = read.weight, read.step + LEAST_STEP
            if achieved(entry) > curve.ratios[-1] + 1e-9:
                extrapolated.append(entry.layer)
        count = min(map(len, changes), default=0)
        if count < FEWEST:
            return None
        changes = [change[:count] for change in changes]
        alone = sum(self._drop(self._dense[:count] + change) for change in changes)
        bend = alone - expected
        added += BENT * bend
        # What layers do alone all samples tell; the probe tells what they do to each other.
        interplay = added - alone
        joint = map(self._drop, together(self._dense[:count], changes, GAINS))
        return Signs(
            {entry.name: achieved(entry) for entry in entries},
            added,
            tuple(interplay + drop for drop in joint),
            bend,
            _evenness(changes),
            count,
            tuple(extrapolated),
            between,
        )

    def _drop(self, outputs: Tensor) -> float:
        """Return what the first samples of the probe lose, a fraction."""
        count = len(outputs)
        scores = self._task.scores(self._dense[:count], outputs, self._truth[:count])
        return float((self._scores[:count] - scores).mean())

    def _read(
        self, points: pd.DataFrame, changes: Mapping[PointKey, np.ndarray]
    ) -> dict[CurveName, _Curve]:
        rows: dict[CurveName, dict[float, tuple[float, Tensor]]] = {}
        known = points[is_known(points)]
        cells = (known[name].tolist() for name in ("criterion", "granularity", "layer", "kept"))
        drops = dict(zip(zip(*cells, strict=True), known["accuracy_drop"].tolist(), strict=True))
        for key, change in changes.items():
            drop = drops.get((key.criterion, key.granularity, key.layer, key.kept))
            if drop is not None and key.kept < key.total:
                name = (key.criterion, key.granularity, key.name)
                rows.setdefault(name, {})[key.ratio_achieved] = (drop, torch.from_numpy(change))
        return {name: self._curve(by_ratio) for name, by_ratio in rows.items()}

    def _curve(self, by_ratio: Mapping[float, tuple[float, Tensor]]) -> _Curve:
        ratios = sorted(by_ratio)
        changes = tuple(by_ratio[ratio][1] for ratio in ratios)
        return _Curve(
            np.array(ratios),
            np.array([by_ratio[ratio][0] for ratio in ratios]),
            changes,
            np.array([self._drop(self._dense[: len(item)] + item.float()) for item in changes]),
        )


def _evenness(changes: Sequence[Tensor]) -> float:
    """Return the share of the changes' sizes that is not the largest one's."""
    sizes = [float(change.square().mean().sqrt()) for change in changes]
    return 1 - max(sizes) / sum(sizes) if any(sizes) else 0.0
