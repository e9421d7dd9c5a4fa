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
from analysis.prediction.learnt import Learnt
from analysis.prediction.signs import ProbedCurves
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
        self._lessons = {
            _content(item.plan): item
            for item in measured
            if self._covers(item.plan)
            and item.plan.training is None
            and item.plan.repair == self._spec.repair
            and self._is_joint(item.plan)
        }
        self._learnt = self._without(None)
        # The plan at hand is asked for again and again.
        self._aside: tuple[Hashable, Learnt | None] = (None, self._learnt)

    def _without(self, content: Hashable) -> Learnt | None:
        lessons = [item for name, item in self._lessons.items() if name != content]
        return None if self._probed is None else Learnt(self._probed, lessons, self._scoring.drop)

    def _is_joint(self, plan: Plan) -> bool:
        # Of one layer, the curve is the measurement.
        return len(pruned_entries(plan)) > 1

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
        if single is not None:
            found = single
        else:
            found = self._together(plan, aside=aside) or predict_from(plan, self._envelopes)
        found = dataclasses.replace(found, repair=self._spec.repair)
        return found.within(self._dense, self._spec.subject.task)

    def _together(self, plan: Plan, *, aside: bool) -> Prediction | None:
        content = _content(plan)
        learnt = self._learnt
        if aside and content in self._lessons:
            known, learnt = self._aside
            if known != content:
                learnt = self._without(content)
                self._aside = content, learnt
        signs = learnt.signs(plan) if learnt is not None and self._is_joint(plan) else None
        if learnt is None or signs is None:
            return None
        drop, low, high = learnt.predict(signs, confidence=self._confidence)
        return Prediction(
            drop,
            low,
            high,
            extrapolated=signs.extrapolated,
            basis=TOGETHER,
            samples=signs.samples,
            calibrated=len(learnt),
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
