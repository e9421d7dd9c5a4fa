"""What is known of a plan before it is measured: what its layers did alone, and would together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.curves import is_known
from analysis.plans import achieved, pruned_entries
from analysis.prediction.together import together
from analysis.records import Plan, PlanEntry, PointKey, Probe
from analysis.tasks import Task

# Changes that move outputs turn out to be larger or smaller than their sum, see `together`.
GAINS = (0.6, 1.0, 1.5, 2.2)
# On fewer samples nothing is told.
FEWEST = 50
# Plans whose signs are remembered: those that were measured are asked for again and again.
MAX_KNOWN = 2000
CurveName = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known of a plan.

    Attributes:
        singles: Drop of each pruned layer alone, by name, on all samples.
        together: Drops of all of them together by gain, as the probe tells.
        samples: Samples of the probe that tell it.
        extrapolated: Layers asked beyond their last measured ratio.
    """

    singles: Mapping[str, float]
    together: tuple[float, ...]
    samples: int
    extrapolated: tuple[str, ...] = ()

    @property
    def added(self) -> float:
        """The sum of the single drops."""
        return sum(self.singles.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Curve:
    """A curve: rising ratios with the drop on all samples and the change on the probe's."""

    ratios: np.ndarray
    drops: np.ndarray
    changes: tuple[Tensor, ...]

    def at(self, ratio: float) -> tuple[float, Tensor]:
        """Return drop and change at a ratio, between those beside it; at 0 nothing changes."""
        ratio = min(ratio, float(self.ratios[-1]))
        above = int(np.searchsorted(self.ratios, ratio))
        low = float(self.ratios[above - 1]) if above else 0.0
        weight = (ratio - low) / (float(self.ratios[above]) - low)
        drop, change = float(self.drops[above]) * weight, self.changes[above].float() * weight
        if above:
            drop += float(self.drops[above - 1]) * (1 - weight)
            before = self.changes[above - 1].float()
            count = min(len(before), len(change))
            change = change[:count] + before[:count] * (1 - weight)
        return drop, change


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
        self._curves = _curves(points, probe.changes)
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
        singles: dict[str, float] = {}
        changes: list[Tensor] = []
        extrapolated = []
        for entry in entries:
            curve = self._curves.get((entry.criterion, entry.granularity, entry.name))
            if curve is None:
                return None
            singles[entry.name], change = curve.at(achieved(entry))
            changes.append(change)
            if achieved(entry) > curve.ratios[-1] + 1e-9:
                extrapolated.append(entry.layer)
        count = min(map(len, changes), default=len(self._dense))
        if count < FEWEST:
            return None
        return Signs(singles, self._drops(changes, count), count, tuple(extrapolated))

    def _drops(self, changes: Sequence[Tensor], count: int) -> tuple[float, ...]:
        """Return the drops of all changes together on the first samples, by gain.

        The probe shows what layers do to each other; what each does alone all samples tell.
        """
        dense, truth = self._dense[:count], self._truth[:count]
        before = self._scores[:count]

        def drop(outputs: Tensor) -> float:
            return float((before - self._task.scores(dense, outputs, truth)).mean())

        parts = [change[:count] for change in changes]
        return tuple(drop(outputs) for outputs in together(dense, parts, GAINS))


def _curves(
    points: pd.DataFrame, changes: Mapping[PointKey, np.ndarray]
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
    found = {}
    for name, by_ratio in rows.items():
        ratios = sorted(by_ratio)
        found[name] = _Curve(
            np.array(ratios),
            np.array([by_ratio[ratio][0] for ratio in ratios]),
            tuple(by_ratio[ratio][1] for ratio in ratios),
        )
    return found
