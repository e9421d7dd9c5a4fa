"""The drop that a plan is predicted to have, with the interval of what it will measure."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable

import numpy as np
import pandas as pd

from analysis.curves import curve_arrays, is_known
from analysis.plans import (
    CURVE,
    TOGETHER,
    Curves,
    Prediction,
    achieved,
    dense_accuracy,
    envelopes,
    predict_from,
    pruned_entries,
)
from analysis.prediction.calibration import Calibration
from analysis.prediction.signs import ProbedCurves, Signs
from analysis.records import MeasuredPlan, Plan, PlanEntry, SweepSpec
from analysis.repairs import NO_REPAIR
from analysis.tasks import scoring_of

CONFIDENCE = 0.9
_ENDS = ("accuracy_drop", "drop_low", "drop_high")


class Forecaster:
    """Predicts the plans of a run.

    Args:
        spec: The run's sweep.
        points: Its points table.
        probed: Its curves with what they change on the probe; without, single drops are added,
            and the prediction says so.
        measured: Plans of the subject that were measured; those repaired otherwise than the points
            of the run are left out.
        curves: `analysis.plans.envelopes` of the points, where they are at hand.
        confidence: Of the intervals.
    """

    def __init__(
        self,
        spec: SweepSpec,
        points: pd.DataFrame,
        probed: ProbedCurves | None = None,
        measured: Iterable[MeasuredPlan] = (),
        *,
        curves: Curves | None = None,
        confidence: float = CONFIDENCE,
    ) -> None:
        self._spec, self._probed, self._confidence = spec, probed, confidence
        self._scoring = scoring_of(spec.subject.task)
        self._envelopes = envelopes(points) if curves is None else curves
        self._dense = dense_accuracy(points, spec.subject.task)
        known = points[is_known(points)] if len(points) else points
        self._singles = dict(curve_arrays(known, ["ratio_achieved", *_ENDS]))
        self._lessons = self._learnt(measured)
        self._calibration = self._without(None)

    def _learnt(self, measured: Iterable[MeasuredPlan]) -> dict[Hashable, tuple[Signs, float]]:
        found = {}
        for item in measured:
            is_alike = (
                self._covers(item.plan)
                and item.plan.training is None
                and item.plan.repair == self._spec.repair
            )
            signs = self._signs(item.plan) if is_alike else None
            if signs is not None:
                found[_content(item.plan)] = signs, self._scoring.drop(item.sums)
        return found

    def _without(self, content: Hashable) -> Calibration:
        lessons = [lesson for name, lesson in self._lessons.items() if name != content]
        return Calibration([signs for signs, _ in lessons], [drop for _, drop in lessons])

    def _signs(self, plan: Plan) -> Signs | None:
        # Of one layer, the curve is the measurement.
        is_joint = self._probed is not None and len(pruned_entries(plan)) > 1
        return self._probed.signs(plan) if self._probed is not None and is_joint else None

    def _covers(self, plan: Plan) -> bool:
        """Return whether pruned is the same for the plan and for the run."""
        spec = self._spec
        return (plan.semantics, plan.reduction) == (spec.semantics, spec.reduction)

    def foresee(self, plan: Plan) -> Prediction | None:
        """Predict as `predict`, also by what this plan itself was measured to lose.

        For choices among plans: one that is known to lose much is not predicted to lose little.
        """
        return self._predicted(plan, aside=False)

    def predict(self, plan: Plan) -> Prediction | None:
        """Predict what a plan loses, repaired as the points of the run are.

        Of one pruned layer that is what its curve says. Of several it is what their changes do to
        the outputs of the probe together, calibrated by the plans that were measured, this one
        aside. Where the run has no such changes of a layer, the single drops are added.

        Returns:
            None where the points tell nothing of the plan: they are repaired and the plan is not,
            or otherwise, or a pruned channel is something else. Points without repair tell of every
            plan what it loses before it is repaired.
        """
        return self._predicted(plan, aside=True)

    def _predicted(self, plan: Plan, *, aside: bool) -> Prediction | None:
        if not self._covers(plan) or self._spec.repair not in (NO_REPAIR, plan.repair):
            return None
        entries = pruned_entries(plan)
        single = self._single(entries[0]) if len(entries) == 1 else None
        signs = self._signs(plan)
        if single is not None:
            found = single
        elif signs is not None:
            found = self._together(plan, signs, aside=aside)
        else:
            found = predict_from(plan, self._envelopes)
        found = dataclasses.replace(found, repair=self._spec.repair)
        return found.within(self._dense, self._spec.subject.task)

    def _together(self, plan: Plan, signs: Signs, *, aside: bool) -> Prediction:
        content = _content(plan)
        is_aside = aside and content in self._lessons
        calibration = self._without(content) if is_aside else self._calibration
        drop, low, high = calibration.predict(signs, confidence=self._confidence)
        return Prediction(
            drop,
            low,
            high,
            extrapolated=signs.extrapolated,
            basis=TOGETHER,
            samples=signs.samples,
            calibrated=len(calibration),
            confidence=self._confidence,
        )

    def _single(self, entry: PlanEntry) -> Prediction | None:
        """Return what a curve says between its points; None without one, or beyond its end."""
        curve = self._singles.get((entry.criterion, entry.granularity, entry.layer))
        if curve is None or achieved(entry) > curve["ratio_achieved"][-1] + 1e-9:
            return None
        ratios = np.concatenate([[0.0], curve["ratio_achieved"]])
        drop, low, high = (
            float(np.interp(achieved(entry), ratios, np.concatenate([[0.0], curve[name]])))
            for name in _ENDS
        )
        return Prediction(drop, low, high, basis=CURVE, confidence=self._spec.confidence)


def _content(plan: Plan) -> Hashable:
    entries = pruned_entries(plan)
    return frozenset((item.granularity, item.name, item.criterion, item.kept) for item in entries)
