"""What a search is for: sizes that plans must fit, and a drop that must hold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from analysis import interop
from analysis.allocation import Budget, Request, measured_time, parse_budgets, request_of
from analysis.edits import PreparedSubject
from analysis.plans import clear
from analysis.records import Plan, Recipe
from analysis.search.judge import Scored
from analysis.search.records import Aim
from analysis.sentences import percent, plural

LATENCY = "latency"
# Times within this share of the dense model's below the limit are near it; by such steps the saving
# that is estimated is corrected.
NEAR, STEP = 0.1, 0.05
# Where the interval, not the drop, is too large.
MORE = "search on more samples (evaluate fewer by --samples, or name --calibration-data)"


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
            budget.holds(meter.share(plan, budget.kind), partial(meter.dense, budget.kind))
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

    def unmet(self, nearest: Scored, *, held: float) -> str:
        """Return what to tell of a drop and sizes that no plan was found for.

        Args:
            nearest: The nearest plan that fits the sizes.
            held: The least share of the dense model that holds the drop; 1 where none is known.
        """
        assert self.max_drop is not None
        task, samples = self.prepared.subject.task, nearest.sums.samples
        drop, cost = task.drop(nearest.sums), task.words.cost
        sizes = " at " + " and ".join(map(str, self.sizes)) if self.sizes else ""
        larger = f", and the drop holds at {self.measure}={held:.2f}" if held < 1 else ""
        # What is measured would do: of so few samples nobody can be sure of it.
        bound, unsure = self.bound(nearest), ""
        if drop <= self.max_drop:
            unsure = f", surely at most {cost(bound)}"
        advice = MORE if unsure else "give it more time"
        if math.isnan(bound):
            # Samples of one document depend on each other: more of them tell nothing.
            unsure, advice = "", "search on samples of more documents; of these nothing is sure"
        less = "ask for less" if self.sizes else f"allow a larger {task.words.drop_noun}"
        return (
            f"no plan was found that surely loses at most {cost(self.max_drop)}{sizes}; on the "
            f"{plural(samples, 'sample')} of the search the nearest loses {cost(drop)}{unsure}"
            f"{larger}; {less}, or {advice}"
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
    if limits_time(aim.recipe):
        meter = request.meter.with_saving(LATENCY, aim.saving)
        request = dataclasses.replace(request, meter=meter)
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


@dataclass(frozen=True, slots=True)
class Timing:
    """What the model of a plan that was searched for a time takes, by the runtime it is meant for.

    Attributes:
        share: Measured, of the dense model's time.
        estimate: What the search went by.
        limit: What was asked for.
        text: What was measured, a sentence without its full stop.
    """

    share: float
    estimate: float
    limit: float
    text: str

    @property
    def holds(self) -> bool:
        """Whether it is at most what was asked for."""
        return self.share <= self.limit

    @property
    def is_near(self) -> bool:
        """Whether it holds, and not much more time could be taken."""
        return self.holds and self.share >= self.limit - NEAR

    @property
    def rank(self) -> tuple[bool, float]:
        """Which of two is better: the slowest that holds, else the fastest."""
        return self.holds, self.share if self.holds else -self.share

    @property
    def told(self) -> str:
        """The same for a person, who is told where it does not hold."""
        if self.holds:
            return f"{self.text}."
        limit = percent(self.limit, digits=1)
        return f"{self.text}, more than the {limit} that were asked for: ask for less."

    def corrected(self, saving: float) -> float:
        """Return what to take of the estimated saving for granted.

        Args:
            saving: What was taken for granted of it, a factor.
        """
        # Other programs disturb times: one of them at most halves the saving, or makes it thrice.
        expected = max(1 - self.estimate, 1e-6)
        saved = min(max(1 - self.share, 0.5 * expected), 3 * expected)
        factor = saving * saved / expected
        # In steps, so that a repeated command, which measures again, finds its searches again.
        return max(int(factor / STEP + 1e-9), 1) * STEP


def limits_time(recipe: Recipe) -> bool:
    """Return whether a recipe has a budget in latency."""
    return any(item.kind == LATENCY for item in parse_budgets(recipe.budgets))


def timing_of(prepared: PreparedSubject, plan: Plan, aim: Aim) -> Timing | None:
    """Measure the time of a plan that was searched for one.

    Args:
        prepared: The subject.
        plan: Found by a search.
        aim: What the search was asked for.

    Returns:
        None where no latency was asked for.
    """
    asked = [item for item in parse_budgets(aim.recipe.budgets) if item.kind == LATENCY]
    if not asked:
        return None
    share, dense, text = measured_time(prepared, plan, interop.RUNTIMES.get(aim.recipe.runtime))
    estimate = goal_of(prepared, plan, aim).request.meter.share(plan, LATENCY)
    limit = min(item.share(lambda: dense) for item in asked)
    return Timing(share, estimate, limit, f"Latency {text}")
