"""Whether plans that no search found hold a drop, on the samples and by the rule of a search."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from analysis.allocation import Allocation, Budget, asked_drop, with_drop
from analysis.edits import PreparedSubject
from analysis.plans import pruned_entries
from analysis.records import Plan, Recipe
from analysis.recovery import repaired_plan
from analysis.repairs import NO_REPAIR
from analysis.search.data import on_search_data, search_data
from analysis.search.goal import goal_of
from analysis.search.judge import Judge
from analysis.search.records import Aim
from analysis.subjects.data import Split
from pruners.errors import InputError

# How often a predicted drop is halved or refined until the measured one holds.
_FILLS = 7


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a plan comes to on the search data.

    Attributes:
        drop: What it loses.
        bound: What it surely loses at most, with the confidence of the search.
        holds: Whether the drop that is asked for holds, as a search has it.
    """

    drop: float
    bound: float
    holds: bool


class TrainedJudge:
    """Judges trained plans by the rule of a search: drop and distance from the dense outputs.

    Training changes what a plan loses for its distance, so trained plans are compared with each
    other, not with those that were only repaired.

    Args:
        prepared: The subject; the workspace has the trained weights.
        start: Lists an entry for each target.
        aim: What is asked for.

    Attributes:
        split: The samples; whoever trains for this judge keeps them apart.

    Raises:
        InputError: There is no data to search on, or a budget is malformed.
    """

    def __init__(self, prepared: PreparedSubject, start: Plan, aim: Aim) -> None:
        data = search_data(prepared.subject)
        self.split: Split = data.split
        searched = on_search_data(prepared, data)
        self._prepared, self._task = prepared, prepared.subject.task
        self._judge = Judge(searched, NO_REPAIR)
        self._goal = goal_of(searched, start, aim)
        self._seen: list[tuple[float, float]] = []

    def judge(self, plan: Plan) -> Verdict:
        """Measure a trained plan.

        Raises:
            PruneScopeError: Its weights cannot be used.
        """
        recovery = repaired_plan(self._prepared, plan)
        scored = self._judge.score(plan, recovery=recovery)
        holds, drop = self._goal.holds(scored, self._seen), self._task.drop(scored.sums)
        self._seen.append((scored.cost, drop))
        return Verdict(drop, self._goal.bound(scored), holds)


@dataclass(frozen=True, slots=True)
class Measured:
    """A plan that was filled up to a predicted drop, and what it was measured to lose.

    Attributes:
        found: The filled plan; its recipe names the drop that was asked for.
        verdict: On the search data.
        first: Of the plan that was predicted to lose what is asked for; None where there is none.
        limit: The predicted drop that the plan was filled up to, a fraction.
        samples: So many were measured.
        words: Where they come from.
    """

    found: Allocation
    verdict: Verdict
    first: Verdict | None
    limit: float
    samples: int
    words: str


class _Filler:
    """Fills plans up to predicted drops, and measures each after its repair.

    Attributes:
        tried: By predicted drop, what was found; plans that cannot be are left out.
    """

    def __init__(
        self, prepared: PreparedSubject, start: Plan, aim: Aim, fill: Callable[[Recipe], Allocation]
    ) -> None:
        drop = asked_drop(aim.recipe)
        assert drop is not None
        self.data = search_data(prepared.subject)
        searched = on_search_data(prepared, self.data)
        # Sizes are the strategy's concern; here only the drop is judged.
        alone = Recipe(budgets=(str(Budget("drop", drop)),))
        self._goal = goal_of(searched, start, dataclasses.replace(aim, recipe=alone))
        self._judge = Judge(searched, start.repair)
        self._task, self._recipe, self._fill = prepared.subject.task, aim.recipe, fill
        self._known: dict[object, Verdict] = {}
        self._seen: list[tuple[float, float]] = []
        self.tried: dict[float, tuple[Allocation, Verdict]] = {}

    def holds(self, limit: float) -> bool:
        """Fill up to a predicted drop; return whether what is measured surely holds."""
        found = self._fill(with_drop(self._recipe, limit, most=limit))
        if not found.feasible:
            return False
        asked = dataclasses.replace(found.plan.recipe or self._recipe, budgets=self._recipe.budgets)
        plan = dataclasses.replace(found.plan, recipe=asked)
        verdict = self._verdict(plan)
        self.tried[limit] = dataclasses.replace(found, plan=plan), verdict
        return verdict.holds

    def _verdict(self, plan: Plan) -> Verdict:
        removed = pruned_entries(plan)
        content = tuple((item.name, item.criterion, item.kept) for item in removed)
        if content not in self._known:
            scored = self._judge.score(plan)
            drop = self._task.drop(scored.sums)
            holds = not removed or self._goal.holds(scored, self._seen)
            self._seen.append((scored.cost, drop))
            bound = self._goal.bound(scored) if removed else 0.0
            self._known[content] = Verdict(drop, bound, holds)
        return self._known[content]


def fill_measured(
    prepared: PreparedSubject, start: Plan, aim: Aim, fill: Callable[[Recipe], Allocation]
) -> Measured | None:
    """Fill a plan up to a predicted drop such that the measured one holds.

    Predictions may be far off, as layers act on each other. So the plan is measured after its
    repair, and where it does not surely lose as little as is asked for, the predicted drop is
    bisected for the largest one whose plan does. Where none does that removes anything (the
    samples are too few to be sure), it is the largest one that measured as little.

    Args:
        prepared: The subject.
        start: Names the repair.
        aim: Its recipe has a budget in drop.
        fill: Fills a plan as a recipe says.

    Returns:
        None where no plan is within the budgets, be it measured or not.

    Raises:
        InputError: There are no samples to measure on, or each plan within the other budgets loses
            more than is asked for.
    """
    asked = asked_drop(aim.recipe)
    assert asked is not None
    filler = _Filler(prepared, start, aim, fill)
    low, high = 0.0, asked
    if not filler.holds(asked):
        for _ in range(_FILLS - 1):
            middle = (low + high) / 2
            low, high = (middle, high) if filler.holds(middle) else (low, middle)
        if low == 0:
            filler.holds(0.0)
    if not filler.tried:
        return None
    limit = max(filler.tried, key=lambda it: _worth(*filler.tried[it], it, asked))
    found, verdict = filler.tried[limit]
    if verdict.drop > asked + 1e-12:
        words = prepared.subject.task.words
        raise InputError(
            f"no plan within the budgets was measured to lose at most {words.cost(asked)}; the "
            f"nearest loses {words.cost(verdict.drop)} on {filler.data.words}; allow a larger "
            f"{words.drop_noun}, or repair it (--repair), or search (--strategy search)"
        )
    first = filler.tried.get(asked)
    return Measured(
        found,
        verdict,
        None if first is None else first[1],
        limit,
        len(filler.data.split),
        filler.data.words,
    )


def _worth(
    found: Allocation, verdict: Verdict, limit: float, asked: float
) -> tuple[bool, bool, bool, float]:
    """Return what orders filled plans: those that lose too much last, the least of them first."""
    is_within = verdict.drop <= asked + 1e-12
    removes = bool(pruned_entries(found.plan))
    return (
        is_within,
        removes,
        verdict.holds,
        limit if is_within else -verdict.drop,
    )
