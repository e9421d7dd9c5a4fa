"""What a plan is expected to cost in accuracy, before it is measured.

Adding the drops that each pruned layer shows alone, read from the monotone envelope of its curve,
assumes that layers do not interact. `analysis.prediction` knows better where a run has a probe; a
prediction says what it is based on, and is shown beside the measured drop. A sum that no accuracy
could show ends where accuracy does: at 0 and at 100 %.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curves import curve_arrays, drop_at, envelope, is_known
from analysis.plans.entries import achieved, pruned_entries
from analysis.records import DEFAULT_TASK, Plan, PlanEntry
from analysis.sentences import percent, plural
from analysis.tasks import scoring_of
from analysis.uncertainty import Interval
from pruners.criteria import label_of

# What a prediction is based on.
ADDED, CURVE, TOGETHER = "added", "curve", "together"
_ENDS = ("envelope", "envelope_low", "envelope_high")


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted accuracy drop.

    Attributes:
        drop: As a fraction.
        low: Lower end of its interval. Where drops are added, the sum of the lower ends.
        high: Upper end. The error of a sum is at most the sum of the errors, however they depend on
            each other, so the interval of a sum covers measurement noise; it does not cover the
            assumption.
        unmeasured: Layers whose criterion has no curve: they are left out of the sum.
        extrapolated: Layers asked beyond their last measured ratio: their last drop is taken, so
            the prediction is too low.
        basis: ``added`` (the single drops), ``curve`` (of the only pruned layer) or ``together``
            (the layers' changes of the outputs, put together).
        samples: Samples of the probe on which changes were put together.
        calibrated: Measured plans that taught it.
        repair: The repair after which it holds; another one than the plan's says what the plan
            loses before it is repaired.
        confidence: Share of plans whose measured drop the interval holds; None for a sum.
        alone: Of a sum, the largest lower end of one layer alone.
    """

    drop: float
    low: float
    high: float
    unmeasured: tuple[str, ...] = ()
    extrapolated: tuple[str, ...] = ()
    basis: str = ADDED
    samples: int = 0
    calibrated: int = 0
    repair: str = "none"
    confidence: float | None = None
    alone: float = math.nan

    def within(self, dense: float, task: str = DEFAULT_TASK) -> Prediction:
        """Return the prediction for a model of a dense score: accuracy stays between 0 and 1.

        A sum whose lower end runs past the worst score says no more than that the plan loses at
        least what one of its layers loses alone.

        Args:
            dense: Score of the dense model.
            task: Says how good and how bad a score can be.
        """
        words = scoring_of(task).words

        drop, low, high = (words.bounded(item, dense) for item in (self.drop, self.low, self.high))
        if low < self.low and not math.isnan(self.alone):
            low = words.bounded(self.alone, dense)
        return dataclasses.replace(self, drop=drop, low=low, high=high)

    @property
    def has_interval(self) -> bool:
        """Whether its curves have intervals; those of imported runs may have none."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    def is_contradicted(self, measured: Interval) -> bool:
        """Return whether a measured interval of the drop lies wholly outside of the predicted one.

        Then the layers interact: together they lose more, or less, than the sum of their parts.
        """
        return measured.low > self.high or measured.high < self.low

    @property
    def explanation(self) -> str:
        """What the prediction is, in a sentence or two."""
        if self.basis == CURVE:
            return "What the curve of the only pruned layer says."
        if self.basis == ADDED:
            return (
                "The sum of the single drops: layers are assumed not to interact, and a drop below "
                "0 counts as 0. Where it runs past the worst score, the interval begins at what "
                "one layer loses alone."
            )
        taught = f"calibrated by {plural(self.calibrated, 'measured plan')}"
        return (
            f"What the layers change in the outputs, put together on {self.samples:,} samples and "
            f"{taught}. {percent(self.confidence or 0)} of measured drops lie in the interval."
        )


@dataclass(frozen=True, slots=True)
class Curve:
    """One envelope: achieved ratios and drops, rising."""

    ratios: np.ndarray
    envelope: np.ndarray
    envelope_low: np.ndarray
    envelope_high: np.ndarray

    def at(self, ratio: float) -> tuple[float, float, float]:
        """Return drop, low and high at a ratio; beyond the end, those of the end."""
        inside = min(ratio, float(self.ratios[-1]))
        drop, low, high = (
            drop_at(self.ratios, getattr(self, name), ratio=inside) for name in _ENDS
        )
        return drop, low, high


Curves = Mapping[tuple[str, str, str], Curve]


def envelopes(points: pd.DataFrame) -> Curves:
    """Return the envelope of every curve by (criterion, granularity, layer)."""
    known = envelope(points[is_known(points)]) if len(points) else points
    return {
        key: Curve(arrays["ratio_achieved"], *(arrays[name] for name in _ENDS))
        for key, arrays in curve_arrays(known, ["ratio_achieved", *_ENDS])
    }


def entry_drop(entry: PlanEntry, by_curve: Curves) -> tuple[float, float, float] | None:
    """Return the single drop of an entry with its interval; None where it was not measured."""
    curve = by_curve.get((entry.criterion, entry.granularity, entry.layer))
    return None if curve is None else curve.at(achieved(entry))


def predict(plan: Plan, points: pd.DataFrame) -> Prediction:
    """Predict the accuracy drop of a plan from the points of a run; see `Prediction.within`."""
    return predict_from(plan, envelopes(points)).within(
        dense_accuracy(points, plan.subject.task), plan.subject.task
    )


def dense_accuracy(points: pd.DataFrame, task: str = DEFAULT_TASK) -> float:
    """Return the dense score on the most samples that a point has; 1 without any."""
    known = points.dropna(subset=["accuracy", "accuracy_drop"])
    if known.empty:
        return 1.0
    fullest = known.nlargest(1, "samples")
    score, drop = (float(fullest[name].iloc[0]) for name in ("accuracy", "accuracy_drop"))
    return scoring_of(task).words.before(score, drop)


def predict_from(plan: Plan, by_curve: Curves) -> Prediction:
    """Add the single drops of a plan from envelopes; see `predict`."""
    sums, alone = np.zeros(3), math.nan
    unmeasured, extrapolated = [], []
    for entry in pruned_entries(plan):
        single = entry_drop(entry, by_curve)
        if single is None:
            unmeasured.append(entry.layer)
            continue
        sums += single
        alone = float(np.fmax(alone, single[1]))
        curve = by_curve[entry.criterion, entry.granularity, entry.layer]
        if achieved(entry) > curve.ratios[-1] + 1e-9:
            extrapolated.append(entry.layer)
    drop, low, high = sums.tolist()
    return Prediction(drop, low, high, tuple(unmeasured), tuple(extrapolated), alone=alone)


def plan_table(
    plan: Plan, by_curve: Curves, limits: pd.DataFrame, *, tolerance: float
) -> pd.DataFrame:
    """Lay a plan beside what was measured, a row an entry.

    Args:
        plan: The plan.
        by_curve: `envelopes` of the points of its run; may be empty.
        limits: What `analysis.curves.tolerated` says of these points.
        tolerance: Largest accepted drop, as a fraction.

    Returns:
        ``key, layer, group, criterion, granularity, ratio, achieved, kept, total, locked,
        tolerated, tolerated_low, tolerated_high, drop, drop_low, drop_high, note``.
    """
    by_name = {
        (row["criterion"], row["granularity"], row["layer"]): row
        for row in limits.to_dict("records")
    }
    rows = []
    for entry in plan.entries:
        name = (entry.criterion, entry.granularity, entry.layer)
        limit = by_name.get(name)
        single = (0.0, 0.0, 0.0) if entry.kept == entry.total else entry_drop(entry, by_curve)
        drop = single if single is not None else (np.nan, np.nan, np.nan)
        last = float(by_curve[name].ratios[-1]) if name in by_curve else None
        rows.append(
            {
                "key": entry.name,
                "layer": entry.layer,
                "group": entry.group,
                "criterion": entry.criterion,
                "granularity": entry.granularity,
                "ratio": entry.ratio,
                "achieved": achieved(entry),
                "kept": entry.kept,
                "total": entry.total,
                "locked": entry.locked,
                "tolerated": limit["tolerated"] if limit else np.nan,
                "tolerated_low": limit["low"] if limit else np.nan,
                "tolerated_high": limit["high"] if limit else np.nan,
                "drop": drop[0],
                "drop_low": drop[1],
                "drop_high": drop[2],
                "note": _note(
                    entry, last=last, drop=drop[0], tolerance=tolerance, task=plan.subject.task
                ),
            }
        )
    return pd.DataFrame(rows)


def _note(entry: PlanEntry, *, last: float | None, drop: float, tolerance: float, task: str) -> str:
    if entry.kept == entry.total:
        return f"nothing removed: rounding keeps all {entry.total}" if entry.ratio > 0 else ""
    if last is None:
        return f"not measured by {label_of(entry.criterion)}"
    if achieved(entry) > last + 1e-9:
        return f"{percent(achieved(entry))} not measured; the curve ends at {percent(last)}"
    limit = scoring_of(task).words.limit(tolerance)
    return f"beyond the tolerance of {limit}" if drop > tolerance + 1e-9 else ""
