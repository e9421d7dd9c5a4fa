"""Whether a trained plan holds what a search was asked for, on the samples of the search."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.edits import PreparedSubject
from analysis.records import Plan
from analysis.recovery import repaired_plan
from analysis.repairs import NO_REPAIR
from analysis.search.data import on_search_data, search_data
from analysis.search.goal import goal_of
from analysis.search.judge import Judge
from analysis.search.records import Aim
from analysis.subjects.data import Split


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a trained plan comes to on the search data.

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
