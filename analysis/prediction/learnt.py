"""All that measured plans teach of others: first of outputs, then of the drop that is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analysis.prediction.calibration import Calibration
from analysis.prediction.signs import ProbedCurves, Signs
from analysis.records import MeasuredPlan, Plan, Sums


class Learnt:
    """Predicts plans from probed curves and measured plans.

    Args:
        probed: The curves.
        measured: Plans of several layers, pruned and repaired as the points of the curves are.
        drop: Returns what sums have lost.
    """

    def __init__(
        self,
        probed: ProbedCurves,
        measured: Sequence[MeasuredPlan],
        drop: Callable[[Sums], float],
    ) -> None:
        self._probed = probed
        shown = [item for item in measured if probed.covers(item)]
        self._interplay = probed.learnt(shown) if shown else None
        # A plan is no lesson of its own outputs: its error is that of plans that were not measured.
        known = {
            id(item): probed.signs(item.plan, self._interplay.without(number))
            for number, item in enumerate(shown)
            if self._interplay is not None
        }
        lessons = []
        for item in measured:
            signs = known[id(item)] if id(item) in known else self.signs(item.plan)
            if signs is not None:
                lessons.append((signs, drop(item.sums)))
        self._calibration = Calibration(
            [signs for signs, _ in lessons], [lost for _, lost in lessons]
        )

    def __len__(self) -> int:
        return len(self._calibration)

    def signs(self, plan: Plan) -> Signs | None:
        """Return what is known of a plan; None where a layer of it has no curve on the probe."""
        place = None if self._interplay is None else self._probed.place(plan)
        if self._interplay is None or place is None:
            return self._probed.signs(plan)
        return self._probed.signs(plan, self._interplay.of(place))

    def predict(self, signs: Signs, *, confidence: float) -> tuple[float, float, float]:
        """Return the expected drop of a plan, and the ends of the interval of what it measures."""
        return self._calibration.predict(signs, confidence=confidence)
