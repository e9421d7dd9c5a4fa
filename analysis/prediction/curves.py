"""Curves of a run with what their points change in the outputs of the probe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.curves import is_known
from analysis.prediction.superposition import centred
from analysis.records import PointKey, Probe
from analysis.tasks import Task

CurveName = tuple[str, str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A curve at a ratio.

    Attributes:
        drop: On all samples.
        probed: Drop on the probe's.
        change: Of their outputs, ``(n, K)``.
        interval: Place of the point at the upper end of the interval that the ratio is in.
        weight: How far it is from the lower to the upper end, 0..1.
        step: By how much the drops of the ends differ.
    """

    drop: float
    probed: float
    change: Tensor
    interval: int
    weight: float
    step: float


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Rising ratios with the drop on all samples, and change and drop on the probe's."""

    ratios: np.ndarray
    drops: np.ndarray
    changes: tuple[Tensor, ...]
    probed: np.ndarray

    def at(self, ratio: float) -> Reading:
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
        return Reading(drop, probed, change, above, weight, abs(ends[0][1] - ends[0][0]))


class Curves:
    """All curves of a run.

    Args:
        points: The points table of the run.
        probe: Its probe.
        task: Scores outputs.

    Attributes:
        dense: Outputs of the dense model, ``(N, K)``.
        truth: Which of them is right, ``(N,)``.
        columns: Digest of which outputs are kept.
        samples: Of the evaluation set, of which the probe's are the first ones.
    """

    def __init__(self, points: pd.DataFrame, probe: Probe, task: Task) -> None:
        self.dense = torch.from_numpy(probe.dense)
        self.truth = torch.from_numpy(probe.truth)
        self.columns = probe.columns
        self.samples = max(len(self.dense), int(points["samples"].max()) if len(points) else 0)
        self._task = task
        self._scores = task.scores(self.dense, self.dense, self.truth)
        self._curves = self._read(points, probe.changes)

    def get(self, name: CurveName) -> Curve | None:
        """Return a curve; None where the run has none on the probe."""
        return self._curves.get(name)

    def of_layer(self, layer: str) -> dict[CurveName, Curve]:
        """Return the curves of a layer, by criterion and granularity."""
        return {name: curve for name, curve in self._curves.items() if name[-1] == layer}

    def drop(self, outputs: Tensor, spread: Tensor | None = None) -> float:
        """Return what the first samples of the probe lose, a fraction; see `losses`."""
        return float(self.losses(outputs, spread).mean())

    def losses(self, outputs: Tensor, spread: Tensor | None = None) -> Tensor:
        """Return what each of the first samples of the probe loses, ``(n,)``.

        Args:
            outputs: Of the pruned model, ``(n, K)``.
            spread: How far they may be off, see `Task.likely_scores`; by default they are not.
        """
        count = len(outputs)
        dense, truth = self.dense[:count], self.truth[:count]
        if spread is None:
            scores = self._task.scores(dense, outputs, truth)
        else:
            scores = self._task.likely_scores(dense, outputs, truth, spread=spread)
        return self._scores[:count] - scores

    def _read(
        self, points: pd.DataFrame, changes: Mapping[PointKey, np.ndarray]
    ) -> dict[CurveName, Curve]:
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

    def _curve(self, by_ratio: Mapping[float, tuple[float, Tensor]]) -> Curve:
        ratios = sorted(by_ratio)
        changes = tuple(by_ratio[ratio][1] for ratio in ratios)
        return Curve(
            np.array(ratios),
            np.array([by_ratio[ratio][0] for ratio in ratios]),
            changes,
            np.array([self.drop(self.dense[: len(item)] + item.float()) for item in changes]),
        )


class Products:
    """Inner products of what the points of curves change, by layer: how alike they are.

    Args:
        curves: The curves; those that do not cover the whole probe are left out.

    Attributes:
        size: Mean square of the dense outputs about their mean over the classes.
    """

    def __init__(self, curves: Curves) -> None:
        self._curves = curves
        self.size = float(centred(curves.dense).square().mean().clamp_min(1e-12))
        self._layers: dict[str, tuple[dict[CurveName, int], np.ndarray]] = {}

    def of(self, layer: str) -> tuple[dict[CurveName, int], np.ndarray]:
        """Return the first row of each curve of a layer, and the products.

        Of the rows of a curve the first is that of nothing pruned. Products are mean values over
        outputs, in those of the dense ones.
        """
        if layer not in self._layers:
            rows: list[Tensor] = []
            first: dict[CurveName, int] = {}
            dense = self._curves.dense
            for name, curve in self._curves.of_layer(layer).items():
                if all(len(change) == len(dense) for change in curve.changes):
                    first[name] = len(rows)
                    rows += [torch.zeros_like(dense), *curve.changes]
            flat = torch.stack([centred(row.float()).flatten() for row in rows])
            products = (flat @ flat.T).double() / (flat.shape[1] * self.size)
            self._layers[layer] = first, products.numpy()
        return self._layers[layer]
