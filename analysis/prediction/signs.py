"""What is known of a plan before it is measured: what its layers did alone, and would together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.plans import achieved, pruned_entries
from analysis.prediction.curves import CurveName, Curves, Products
from analysis.prediction.interplay import Correction, Interplay, Place
from analysis.prediction.superposition import coherence, together
from analysis.records import MeasuredPlan, Plan, PlanEntry, Probe
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
        coherence: How far they move outputs the same way; see `superposition.coherence`.
        samples: Samples of the probe that tell it.
        error: Standard error of `together`, as the probe is a part of the samples.
        extrapolated: Layers asked beyond their last measured ratio.
        between: For each interval of a curve that an entry is in, how far it is from the lower to
            the upper end, 0..1, and by how much the drops of the ends differ.
    """

    ratios: Mapping[str, float]
    added: float
    together: tuple[float, ...]
    bend: float
    evenness: float
    coherence: float
    samples: int
    error: float = 0.0
    extrapolated: tuple[str, ...] = ()
    between: Mapping[Interval, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Layers:
    """What curves say of the layers of a plan, whatever was measured of plans.

    Attributes:
        signs: All that is not `Signs.together`.
        place: Where it is on the curves.
        outputs: Of all of them together, by gain, ``(n, K)``.
        alone: The sum of their drops on the probe.
        apart: By how much drops on all samples are larger than on the probe, added up, on lines.
    """

    signs: Signs
    place: Place
    outputs: tuple[Tensor, ...]
    alone: float
    apart: float


class ProbedCurves:
    """Curves of a run with their changes of the probe's outputs.

    Args:
        points: The points table of the run.
        probe: Its probe.
        task: Scores outputs.
    """

    def __init__(self, points: pd.DataFrame, probe: Probe, task: Task) -> None:
        self._curves = Curves(points, probe, task)
        self._products = Products(self._curves)
        self._known: dict[Hashable, _Layers | None] = {}

    def signs(self, plan: Plan, correction: Correction | None = None) -> Signs | None:
        """Return what is known of a plan; None where a layer of it has no curve on the probe.

        Args:
            plan: The plan.
            correction: What measured plans tell of its outputs; see `learnt`.
        """
        layers = self._layers(plan)
        if layers is None:
            return None
        # What layers do alone all samples tell; the probe tells what they do to each other.
        interplay = layers.signs.added - layers.alone
        joint = [interplay + self._curves.drop(outputs) for outputs in layers.outputs]
        if correction is not None:
            joint = [
                plain + correction.known * (self._corrected(layers, outputs, correction) - plain)
                for plain, outputs in zip(joint, layers.outputs, strict=True)
            ]
        found = replace(layers.signs, together=tuple(joint))
        if correction is None:
            return found
        # What measured plans tell of the outputs says this, too.
        left = 1 - correction.known
        return replace(found, coherence=1 + left * (found.coherence - 1))

    def _corrected(self, layers: _Layers, outputs: Tensor, correction: Correction) -> float:
        """Return the drop as measured plans tell it: also what curves do between points."""
        return layers.apart + self._curves.drop(outputs + correction.outputs, correction.spread)

    def place(self, plan: Plan) -> Place | None:
        """Return where a plan is on its curves; None where they do not cover the whole probe."""
        layers = self._layers(plan)
        if layers is None or len(layers.place.outputs) < len(self._curves.dense):
            return None
        return layers.place

    def learnt(self, measured: Sequence[MeasuredPlan]) -> Interplay:
        """Learn from plans that have a `place`, with what they changed on the whole probe."""
        places, outputs = [], []
        for item in measured:
            place = self.place(item.plan)
            assert place is not None
            found = self._shown(item)
            assert found is not None
            places.append(place)
            change = torch.from_numpy(found.copy()).float()
            outputs.append(self._curves.dense + change)
        return Interplay(self._curves, self._products, places, outputs)

    def covers(self, item: MeasuredPlan) -> bool:
        """Return whether a measured plan has a `place`, and what it changed on the whole probe."""
        return self._shown(item) is not None and self.place(item.plan) is not None

    def _shown(self, item: MeasuredPlan) -> np.ndarray | None:
        """Return what a measured plan changed on the whole probe; None where that is not known."""
        shape = self._curves.dense.shape
        change = item.change
        found = None if change is None else change.on(self._curves.columns, shape[0])
        return None if found is None or found.shape != shape else found

    def _layers(self, plan: Plan) -> _Layers | None:
        entries = pruned_entries(plan)
        content = tuple(
            (item.criterion, item.granularity, item.name, item.kept) for item in entries
        )
        if content not in self._known:
            if len(self._known) > MAX_KNOWN:
                self._known.clear()
            self._known[content] = self._found(entries)
        return self._known[content]

    def _found(self, entries: Sequence[PlanEntry]) -> _Layers | None:
        readings = {}
        extrapolated = []
        for entry in entries:
            name = (entry.criterion, entry.granularity, entry.name)
            curve = self._curves.get(name)
            if curve is None:
                return None
            readings[name] = curve.at(achieved(entry))
            if achieved(entry) > curve.ratios[-1] + 1e-9:
                extrapolated.append(entry.layer)
        count = min((len(read.change) for read in readings.values()), default=0)
        if count < FEWEST:
            return None
        changes = [read.change[:count] for read in readings.values()]
        dense = self._curves.dense[:count]
        losses = sum(
            (self._curves.losses(dense + change) for change in changes), torch.zeros(count)
        )
        alone = float(losses.mean())
        added = sum(read.drop for read in readings.values())
        expected = sum(read.probed for read in readings.values())
        bend = alone - expected
        outputs = tuple(together(dense, changes, GAINS))
        apart = self._curves.losses(outputs[GAINS.index(1.0)]) - losses
        signs = Signs(
            {entry.name: achieved(entry) for entry in entries},
            added + BENT * bend,
            (),
            bend,
            _evenness(changes),
            coherence(dense, changes),
            count,
            self._error(apart),
            tuple(extrapolated),
            {
                (name, read.interval): (read.weight, read.step + LEAST_STEP)
                for name, read in readings.items()
            },
        )
        at = tuple((name, read.interval, read.weight) for name, read in readings.items())
        return _Layers(
            signs, Place(at, outputs[GAINS.index(1.0)]), outputs, alone, added - expected
        )

    def _error(self, values: Tensor) -> float:
        """Return the standard error of a mean of the probe's samples, for that of all samples."""
        share = 1 - len(values) / self._curves.samples
        return float((values.var() * max(share, 0.0) / len(values)).sqrt())


def _evenness(changes: Sequence[Tensor]) -> float:
    """Return the share of the changes' sizes that is not the largest one's."""
    sizes = [float(change.square().mean().sqrt()) for change in changes]
    return 1 - max(sizes) / sum(sizes) if any(sizes) else 0.0
