"""The drop that a plan is predicted to have, with the interval of what it will measure."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis.plans import (
    Prediction,
    dense_accuracy,
    envelopes,
    predict_from,
    pruned_entries,
)
from analysis.prediction.calibration import Calibration
from analysis.prediction.signs import ProbedCurves, Signs
from analysis.records import MeasuredPlan, Plan, Probe, SweepSpec
from analysis.tasks import task_named

CONFIDENCE = 0.9


class Forecaster:
    """Predicts the plans of a run.

    Args:
        spec: The run's sweep.
        points: Its points table.
        probe: Its probe; without one the single drops are added, and the prediction says so.
        measured: Plans of the subject that were measured; of other repairs they are left out.
        confidence: Of the intervals.
    """

    def __init__(
        self,
        spec: SweepSpec,
        points: pd.DataFrame,
        probe: Probe | None = None,
        measured: Iterable[MeasuredPlan] = (),
        *,
        confidence: float = CONFIDENCE,
    ) -> None:
        self._spec, self._confidence = spec, confidence
        self._task = task_named(spec.subject.task)
        self._envelopes = envelopes(points)
        self._dense = dense_accuracy(points)
        self._curves = None if probe is None else ProbedCurves(points, probe, self._task)
        self._calibration = self._learnt(measured)

    def _learnt(self, measured: Iterable[MeasuredPlan]) -> Calibration:
        signs, drops = [], []
        for item in measured:
            found = self._signs(item.plan) if self.covers(item.plan) else None
            # Of one layer the curve is the measurement.
            if found is not None and len(found.singles) > 1:
                signs.append(found)
                drops.append(self._task.drop(item.sums))
        return Calibration(signs, drops)

    def _signs(self, plan: Plan) -> Signs | None:
        return None if self._curves is None else self._curves.signs(plan)

    def covers(self, plan: Plan) -> bool:
        """Return whether the curves are of the plan's repair, semantics and reduction."""
        spec = self._spec
        return (plan.repair, plan.semantics, plan.reduction) == (
            spec.repair,
            spec.semantics,
            spec.reduction,
        )

    def predict(self, plan: Plan) -> Prediction:
        """Predict what a plan loses, repaired as the points of the run are.

        Of one pruned layer that is what its curve says. Of several it is what their changes do to
        the outputs of the probe together, calibrated by the plans that were measured. Where the
        run has no such changes of a layer, the single drops are added.
        """
        added = predict_from(plan, self._envelopes)
        signs = self._signs(plan) if len(pruned_entries(plan)) > 1 else None
        if signs is not None:
            drop, low, high = self._calibration.predict(signs, confidence=self._confidence)
            added = Prediction(
                drop,
                low,
                high,
                extrapolated=signs.extrapolated,
                samples=signs.samples,
                calibrated=len(self._calibration),
                confidence=self._confidence,
            )
        return added.within(self._dense, self._task.name)
