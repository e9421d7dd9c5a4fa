"""What a search is for: sizes that plans must fit, and a drop that must hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from analysis import interop
from analysis.allocation import Budget, Request, measured_time, parse_budgets, request_of
from analysis.edits import PreparedSubject
from analysis.plans import clear
from analysis.records import Plan
from analysis.search.judge import Scored
from analysis.search.records import Aim
from pruners.errors import InputError


@dataclass(frozen=True, slots=True)
class Goal:
    """Budgets and constraints of a search, ready to be asked.

    Attributes:
        prepared: The subject on its search data.
        request: What the other strategies are asked for, without points.
        sizes: Budgets of size.
        max_drop: Largest drop; None where none is given.
        confidence: With which it holds.
        measure: The size that is made small.
    """

    prepared: PreparedSubject
    request: Request
    sizes: tuple[Budget, ...]
    max_drop: float | None
    confidence: float
    measure: str

    @property
    def tied(self) -> tuple[tuple[str, ...], ...]:
        """Names of entries that keep equally many units."""
        return self.request.tied

    def finish(self, plan: Plan) -> Plan:
        """Return the plan with counts that keep to the constraints."""
        return self.request.finish(plan)

    def share(self, plan: Plan) -> float:
        """Return what a plan leaves of the dense model."""
        return self.request.meter.share(plan, self.measure)

    def fits(self, plan: Plan) -> bool:
        """Return whether a plan is within all budgets of size."""
        meter = self.request.meter
        return all(
            meter.share(plan, budget.kind) <= budget.share(partial(meter.dense, budget.kind)) + 1e-9
            for budget in self.sizes
        )

    def bound(self, scored: Scored) -> float:
        """Return what a plan surely loses at most, with the goal's confidence."""
        # The upper end of a two-sided interval of 1 - 2a leaves a above it.
        level = 2 * self.confidence - 1
        return self.prepared.subject.task.drop_interval(scored.sums, level).high

    def holds(self, scored: Scored, others: Iterable[tuple[float, float]] = ()) -> bool:
        """Return whether the drop of a plan is at most what is accepted, with confidence.

        Of many plans that are measured on the same samples some lose little there by luck. Their
        distance from the dense outputs is not so lucky: what plans lose for their distance, all
        together, has to say the same.

        Args:
            scored: The plan, measured to the end.
            others: Distance and drop of other plans that were measured to the end.
        """
        if self.max_drop is None:
            return True
        task, limit = self.prepared.subject.task, self.max_drop + 1e-12
        if self.bound(scored) > limit:
            return False
        known = [*others, (scored.cost, task.drop(scored.sums))]
        costs, drops = (sum(column) for column in zip(*known, strict=True))
        return bool(costs <= 0 or scored.cost * drops / costs <= limit)

    def unmet(self, drop: float, *, held: float) -> InputError:
        """Return what to tell of a drop and sizes that no plan was found for.

        Args:
            drop: Of the nearest plan that fits the sizes, on the search data.
            held: The least share of the dense model that holds the drop; 1 where none is known.
        """
        assert self.max_drop is not None
        words = self.prepared.subject.task.words
        sizes = " at " + " and ".join(map(str, self.sizes)) if self.sizes else ""
        larger = f", and the drop holds at {self.measure}={held:.2f}" if held < 1 else ""
        return InputError(
            f"no plan was found that surely loses at most {words.cost(self.max_drop)}{sizes}; "
            f"on the samples of the search the nearest loses {words.cost(drop)}{larger}; ask for "
            "less, or give it more time"
        )


def goal_of(prepared: PreparedSubject, start: Plan, aim: Aim) -> Goal:
    """Return what a search is for.

    Args:
        prepared: The subject on its search data.
        start: Lists an entry for each target.
        aim: What is asked for.

    Raises:
        UnknownNameError: No such runtime.
        InputError: A budget or a constraint is malformed.
    """
    runtime = interop.RUNTIMES.get(aim.recipe.runtime)
    request = request_of(prepared, clear(start), aim.recipe, runtime=runtime)
    sizes = tuple(budget for budget in request.budgets if not budget.is_drop)
    drops = [budget.limit for budget in request.budgets if budget.is_drop]
    return Goal(
        prepared,
        request,
        sizes,
        min(drops) if drops else None,
        aim.confidence,
        sizes[0].kind if sizes else aim.measure,
    )


def time_told(prepared: PreparedSubject, plan: Plan) -> str:
    """Return what a plan's model takes by the runtime it is meant for, and whether that is missed.

    Args:
        prepared: The subject.
        plan: Found by a search; its recipe says what was asked for.

    Returns:
        Empty where no latency was asked for.
    """
    recipe = plan.recipe
    budgets = [] if recipe is None else parse_budgets(recipe.budgets)
    asked = [item for item in budgets if item.kind == "latency"]
    if recipe is None or not asked:
        return ""
    share, dense, text = measured_time(prepared, plan, interop.RUNTIMES.get(recipe.runtime))
    least = min(item.share(lambda: dense) for item in asked)
    if share <= least:
        return f"Latency {text}."
    # The search went by an estimate; times of a busy machine vary, too.
    return f"Latency {text}, more than the {least:.1%} that were asked for: ask for less."
