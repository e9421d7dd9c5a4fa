"""The judge of a search: plans are measured on its samples, and refused once it is sure."""

from __future__ import annotations

import dataclasses
import math

import pytest

from analysis.edits import edited_model
from analysis.edits.prepared import PreparedSubject, prepare
from analysis.plans.apply import plan_edit, start_plan
from analysis.plans.editing import set_kept
from analysis.records.plan import Plan, Recipe
from analysis.records.subject import SubjectSpec
from analysis.search import judge as judging
from analysis.search.data import Effort, on_search_data, search_data
from analysis.search.goal import Goal, goal_of
from analysis.search.judge import Judge
from analysis.search.records import Aim
from analysis.subjects.subject import load_subject


@pytest.fixture(scope="module")
def prepared() -> PreparedSubject:
    spec = SubjectSpec(
        model="sample:lenet5", data="sample:fashion-mnist", samples=300, calibration_samples=64
    )
    return prepare(load_subject(spec))


@pytest.fixture(scope="module")
def searched(prepared: PreparedSubject) -> PreparedSubject:
    return on_search_data(prepared, search_data(prepared.subject, samples=400))


@pytest.fixture
def plan(prepared: PreparedSubject) -> Plan:
    return dataclasses.replace(start_plan(prepared, criterion="l1"), repair="none")


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "effort_of", lambda _: Effort(slice_samples=100))


def aim(budget: str) -> Aim:
    return Aim(recipe=Recipe(budgets=(budget,)), trials=6, criteria=("l1",))


def test_the_judge_measures_what_a_slow_loop_measures(
    prepared: PreparedSubject, searched: PreparedSubject, plan: Plan
) -> None:
    plan = set_kept(plan, plan.entries[0].name, 3)
    scored = Judge(searched, "none").score(plan)
    split = searched.subject.evaluation
    assert split is not None
    model = edited_model(prepared, plan_edit(prepared, plan))
    inputs, targets = split.part(0, 400)
    dense, outputs = prepared.model(inputs).softmax(1), model(inputs).softmax(1)
    expected = (dense * (dense.log() - outputs.log())).sum(1).double()
    assert scored.costs.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert targets is not None
    assert scored.sums["correct"] == int((outputs.argmax(1) == targets).sum())


def test_a_rival_that_is_worse_is_refused_early_and_a_better_one_wins(
    searched: PreparedSubject, plan: Plan
) -> None:
    name = plan.entries[0].name
    mild, strong = set_kept(plan, name, 5), set_kept(plan, name, 1)
    judge = Judge(searched, "none")
    base = judge.score(mild)
    worse = judge.score(strong, base)
    assert worse.wins is False
    assert len(worse.costs) == 100
    better = judge.score(mild, judge.score(strong))
    assert better.wins is True
    assert len(better.costs) == 400


def test_a_lucky_drop_is_not_believed(
    prepared: PreparedSubject,
    searched: PreparedSubject,
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scored = Judge(searched, "none").score(set_kept(plan, plan.entries[0].name, 5))
    drop = prepared.subject.task.drop(scored.sums)
    high = prepared.subject.task.drop_interval(scored.sums, 0.8).high
    goal = goal_of(searched, plan, aim(f"drop={high + 0.01}"))
    assert goal.holds(scored)
    # Others lose much for the same distance, so that this one was lucky.
    assert not goal.holds(scored, [(scored.cost, 10 * (high + 0.01))])
    assert goal.holds(scored, [(scored.cost, drop)])
    assert not goal_of(searched, plan, aim(f"drop={max(high - 0.001, 0.0)}")).holds(scored)
    # What is measured would do, if there were more samples to be sure by.
    unsure = str(goal_of(searched, plan, aim(f"drop={(drop + high) / 2}")).unmet(scored, held=1))
    assert f"on the 400 samples of the search the nearest loses {100 * drop:.2f} pp, " in unsure
    assert (
        f"surely at most {100 * high:.2f} pp; allow a larger drop, or search on more samples"
        in unsure
    )
    # Samples of one document have no interval.
    monkeypatch.setattr(Goal, "bound", lambda *_: math.nan)
    unsure = str(goal_of(searched, plan, aim(f"drop={drop}")).unmet(scored, held=1))
    assert "search on samples of more documents; of these nothing is sure" in unsure
