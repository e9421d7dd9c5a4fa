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
from analysis.search import judge
from analysis.search.data import Effort, search_data
from analysis.search.frontier import FrontierUpdate, iter_frontier
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
    """Point 4 of issue 10."""
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
    # What was found is kept: the same call tries no plan again.
    tried: list[object] = []
    monkeypatch.setattr(
        "analysis.search.search.Search._try", lambda self, trade: tried.append(trade)
    )
    again = list(iter_frontier(prepared, start(prepared), AIM, (0.5, 0.8), folder=tmp_path))
    assert [item.plan for item in again[-1].points] == [item.plan for item in points]
    assert not tried


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
    assert "at most 5.0% of the MACs is out of reach" in last.beyond[0.05]
    with pytest.raises(OutOfReachError, match="out of reach"):
        list(iter_frontier(prepared, begin, AIM, (0.05,)))


@pytest.mark.parametrize("levels", [(), (0.5, 1.0), (0.0,), (0.99999999,)])
def test_sizes_are_shares(prepared: PreparedSubject, levels: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="shares above 0 and below 1"):
        next(iter_frontier(prepared, start(prepared), AIM, levels))
