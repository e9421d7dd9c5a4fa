"""The trade-off: a plan at each size, evaluated, and nothing done twice."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.evaluation.evaluate import evaluate_plan
from analysis.plans.apply import start_plan
from analysis.plans.size import meter
from analysis.records.plan import Plan, Recipe
from analysis.records.subject import SubjectSpec
from analysis.recovery.kept import repaired_plan
from analysis.search import frontier, judge
from analysis.search.data import Effort, search_data
from analysis.search.frontier import FrontierUpdate, evaluated_point, iter_frontier
from analysis.search.records import Aim
from analysis.subjects.subject import load_subject
from pruners.errors import InputError, OutOfReachError

AIM = Aim(recipe=Recipe(), criteria=("l1",), trials=1)


@pytest.fixture(scope="module")
def prepared() -> PreparedSubject:
    spec = SubjectSpec(
        model="sample:lenet5", data="sample:fashion-mnist", samples=200, calibration_samples=64
    )
    return prepare(load_subject(spec))


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "analysis.search.search.search_data", lambda it: search_data(it, samples=200)
    )
    monkeypatch.setattr(judge, "effort_of", lambda _: Effort(slice_samples=100))


def start(prepared: PreparedSubject) -> Plan:
    return dataclasses.replace(start_plan(prepared, criterion="l1"), repair="lsq")


def test_a_plan_at_each_size_is_evaluated_raw_and_repaired(
    prepared: PreparedSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates = list(iter_frontier(prepared, start(prepared), AIM, (0.5, 0.8), folder=tmp_path))
    points = updates[-1].points
    assert [(item.plan.repair, item.level) for item in points] == [
        ("lsq", 0.8),
        ("lsq", 0.5),
        ("none", 0.8),
        ("none", 0.5),
    ]
    for point in points:
        assert meter(prepared).share(point.plan, "macs") == point.macs <= point.level
        recovery = repaired_plan(prepared, point.plan)
        found = evaluate_plan(prepared, point.plan, recovery=recovery, latency_seconds=0)
        assert point.score == found.removed.accuracy
        assert point.sums.samples == 200
        assert (point.low, point.high) == (found.removed.low, found.removed.high)
        ends = (found.removed.drop_low, found.removed.drop_high)
        assert (point.drop_low, point.drop_high) == ends
    # What was found is kept: the same call measures nothing again, here or in the searches.
    measured: list[object] = []
    monkeypatch.setattr(judge, "measure", lambda *given, **_: measured.append(given))
    monkeypatch.setattr(frontier, "measure", lambda *given, **_: measured.append(given))
    again = list(iter_frontier(prepared, start(prepared), AIM, (0.5, 0.8), folder=tmp_path))
    assert again[-1].points == points
    assert not measured


def test_points_are_kept_for_their_data_and_repair_alone(
    prepared: PreparedSubject, tmp_path: Path
) -> None:
    """Numbers of other samples, another repair or other units are never shown in their place."""
    plan = halved(start(prepared))
    found = evaluated_point(prepared, plan, 0.5, folder=tmp_path)
    assert evaluated_point(prepared, plan, 0.5, folder=tmp_path) == found
    (kept,) = tmp_path.iterdir()
    fewer = prepared.of(prepared.subject.with_samples(100))
    locked = dataclasses.replace(plan.entries[0], kept=plan.entries[0].total)
    others = (
        (fewer, plan),
        (prepared, dataclasses.replace(plan, repair="none")),
        (prepared, dataclasses.replace(plan, entries=(locked, *plan.entries[1:]))),
    )
    for count, (subject, other) in enumerate(others, 2):
        alone = evaluated_point(subject, other, 0.5)
        beside = evaluated_point(subject, other, 0.5, folder=tmp_path)
        assert (beside.plan, beside.sums.terms) == (alone.plan, alone.sums.terms)
        assert len(list(tmp_path.iterdir())) == count
    # A damaged file is no more than a missing one.
    kept.write_text("{")
    anew = evaluated_point(prepared, plan, 0.5, folder=tmp_path)
    assert anew.sums.terms == found.sums.terms


def halved(plan: Plan) -> Plan:
    """Return a plan that keeps half of each entry."""
    entries = tuple(
        dataclasses.replace(item, kept=item.total // 2, ratio=0.5) for item in plan.entries
    )
    return dataclasses.replace(plan, entries=entries)


def test_a_stop_keeps_what_was_measured(prepared: PreparedSubject) -> None:
    enough: list[FrontierUpdate] = []
    stops = iter_frontier(prepared, start(prepared), AIM, (0.8, 0.5), cancel=lambda: bool(enough))
    found = list(itertools.takewhile(lambda it: not (it.points and enough.append(it)), stops))
    assert found
    assert [item.level for item in enough[0].points] == [0.8]
    assert not list(stops)


def test_a_size_out_of_reach_takes_no_other_one_with_it(prepared: PreparedSubject) -> None:
    begin = start(prepared)
    locked = tuple(dataclasses.replace(item, locked=True) for item in begin.entries[1:])
    begin = dataclasses.replace(begin, entries=(begin.entries[0], *locked))
    *_, last = iter_frontier(prepared, begin, AIM, (0.9, 0.05, 0.9 + 1e-9))
    assert [(item.level, item.plan.repair) for item in last.points] == [
        (0.9, "lsq"),
        (0.9, "none"),
    ]
    assert list(last.beyond) == [0.05]
    assert "at most 5.0\N{NO-BREAK SPACE}% of the MACs is out of reach" in last.beyond[0.05]
    with pytest.raises(OutOfReachError, match="out of reach"):
        list(iter_frontier(prepared, begin, AIM, (0.05,)))


@pytest.mark.parametrize("levels", [(), (0.5, 1.0), (0.0,), (0.99999999,)])
def test_sizes_are_shares(prepared: PreparedSubject, levels: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="shares above 0 and below 1"):
        next(iter_frontier(prepared, start(prepared), AIM, levels))
