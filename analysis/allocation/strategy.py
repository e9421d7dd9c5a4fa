"""What a strategy is, what it is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from analysis.allocation.goals import Budget
    from analysis.edits import PreparedSubject
    from analysis.plans import Meter, Prediction
    from analysis.records import Plan

FIXED, BEST = "fixed", "best"
Predict = Callable[["Plan"], "Prediction | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a strategy is asked for.

    Attributes:
        plan: Lists an entry for each prunable target; locked entries stay as they are.
        points: The points table of the run; None where nothing was measured.
        meter: Measures what a plan costs.
        budgets: What the plan may cost at most; all of them are to hold.
        ratio: One ratio for all.
        tolerance: Largest accepted drop of each layer alone, as a fraction.
        criteria: ``fixed`` keeps each entry's criterion, ``best`` chooses one per layer.
        cautious: Read curves at the upper end of their intervals.
        cost: What is added up over layers, a cost of `analysis.curves.metrics`.
        monotone: Fit a rising curve through the points, where a strategy reads them as they are.
        most: Largest ratio that is given to any entry.
        prepared: The subject, for strategies that read scores; None where no model is at hand.
        normalizer: How scores of different layers are compared, one of
            `pruners.normalizers.NORMALIZERS`; None takes the criterion's own.
        finish: Applied to every plan that a strategy tries, before its cost is asked for: rounding
            of kept counts and other constraints, so that a budget holds after them. It must not
            reverse an order: what removes more before it removes no less after it.
        tied: Names of entries that `finish` gives equal counts, for strategies that choose them
            together.
        predict: Predicts what a plan loses; without it, or where it knows nothing of a plan, the
            single drops are added.
    """

    plan: Plan
    meter: Meter
    points: pd.DataFrame | None = None
    budgets: tuple[Budget, ...] = ()
    ratio: float | None = None
    tolerance: float | None = None
    criteria: str = FIXED
    cautious: bool = False
    cost: str = "drop"
    monotone: bool = False
    most: float = 1.0
    prepared: PreparedSubject | None = None
    normalizer: str | None = None
    finish: Callable[[Plan], Plan] = lambda plan: plan
    tied: tuple[tuple[str, ...], ...] = ()
    predict: Predict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """A filled plan and how it came out.

    Attributes:
        plan: The plan; where the budgets cannot be met, the nearest one.
        feasible: Whether the budgets are met.
        spent: What the plan costs by kind of budget, as a fraction of dense (drops: the drop).
        level: The ratio, tolerance or score that was chosen; of least sums, the sum.
        message: One line for a person.
        blocking: Locked entries that stand in the way of the budget.
        unmeasured: Layers without a curve; they stay as they were.
    """

    plan: Plan
    feasible: bool = True
    spent: Mapping[str, float] = field(default_factory=dict)
    level: float | None = None
    message: str = ""
    blocking: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Strategy:
    """A registered strategy.

    Attributes:
        name: Short name, used in commands and files.
        label: Name for people.
        help: What it does, one sentence.
        needs: What it needs of a request: ``points`` and one of ``ratio``, ``tolerance``,
            ``budgets``.
        fn: The function; None where plans are measured instead of reading curves.
    """

    name: str
    label: str
    help: str
    needs: frozenset[str]
    fn: Callable[[Request], Allocation] | None

    @property
    def measures(self) -> bool:
        """Whether it measures plans, which takes minutes: by `analysis.search`, not `allocate`."""
        return self.fn is None
