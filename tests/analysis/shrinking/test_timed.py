"""Searches for a time, against a clock that says other times than the table of single groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from analysis import search
from analysis.measuring import TORCH
from analysis.plans import meter, removed_model, start_plan
from analysis.plans.editing import set_ratio
from analysis.plans.entries import kept_counts
from analysis.records.plan import Plan, Recipe
from analysis.records.progress import Progress
from analysis.search.goal import Timing, goal_of
from analysis.search.records import Aim, SearchState, SearchUpdate
from analysis.sentences import percent
from analysis.shrinking.timed import iter_timed
from pruners.errors import InputError
from tests.helpers.contexts import sample_context


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One group, and half of all, save their MACs by the clock; other plans a quarter of theirs."""
    found = sample_context("lenet5")
    entries, sizes = start_plan(found, criterion="l1").entries, meter(found)

    def clock(models: dict[str, nn.Module], *_: object, **options: Any) -> dict[str, Any]:
        assert options.get("runtime", TORCH) is TORCH
        times = {}
        for name, model in models.items():
            left = dict(model.named_parameters())
            kept = {item.name: left[f"{item.layer}.weight"].shape[0] for item in entries}
            saved = 1 - sizes.predict(kept)[1] / sizes.predict({})[1]
            pruned = [item for item in entries if kept[item.name] < item.total]
            halves = [item for item in entries if kept[item.name] == (item.total + 1) // 2]
            is_known = len(pruned) <= 1 or len(halves) == len(entries)
            times[name] = SimpleNamespace(least=1 - (saved if is_known else saved / 4))
        return times

    monkeypatch.setattr("analysis.measuring.group_times.compare_latency", clock)
    monkeypatch.setattr(search, "iter_search", even_search)
    return dataclasses.replace(found)


def even_search(prepared: Any, start: Plan, aim: Aim, **_: Any) -> Iterator[SearchUpdate]:
    """Find the least ratio for all with which a plan fits its budgets by the estimate."""
    goal = goal_of(prepared, start, aim)
    if goal.max_drop is not None:
        raise InputError("no plan was found that surely loses at most 0.00 pp")
    for ratio in range(1, 95):
        plan = start
        for entry in start.entries:
            plan = set_ratio(plan, entry.name, ratio / 100)
        if goal.fits(plan):
            state = SearchState(request="", trials=aim.trials)
            yield SearchUpdate(
                stage="Done", progress=Progress(), plan=plan, share=None, drop=None, state=state
            )
            return
    raise InputError("out of reach")


def found_for(prepared: Any, *budgets: str) -> list[SearchUpdate]:
    aim = Aim(recipe=Recipe(budgets=budgets), criteria=("l1",))
    return list(iter_timed(prepared, start_plan(prepared, criterion="l1"), aim))


def true_share(prepared: Any, plan: Plan | None) -> float:
    assert plan is not None
    sizes = meter(prepared)
    kept = kept_counts(plan)
    assert len(kept) > 1
    model = removed_model(prepared, plan)
    assert sum(item.numel() for item in model.parameters()) == sizes.predict(kept)[0]
    return 1 - (1 - sizes.predict(kept)[1] / sizes.predict({})[1]) / 4


def test_a_search_goes_on_until_the_measured_time_holds(prepared: Any) -> None:
    """70 % were asked for, and 85 % found."""
    *_, last = found_for(prepared, "latency=0.85")
    assert 0.75 < true_share(prepared, last.plan) <= 0.85
    assert "more than" not in last.news
    assert f"{percent(true_share(prepared, last.plan), digits=1)} of the time" in last.news


def test_a_search_that_saves_far_too_much_gives_back() -> None:
    """A table measured beside other programs says too little of what is saved."""
    far, near, slow = (Timing(share, 0.7, 0.7, "") for share in (0.25, 0.65, 0.75))
    assert [item.is_near for item in (far, near, slow)] == [False, True, False]
    assert max((far, near, slow), key=lambda item: item.rank) is near
    assert far.corrected(1.0) == pytest.approx(2.5)
    assert slow.corrected(1.0) == pytest.approx(0.8)
    assert Timing(1.2, 0.7, 0.7, "").corrected(1.0) == pytest.approx(0.5)


def test_what_is_out_of_reach_is_said(prepared: Any) -> None:
    """A quarter of everything is saved at most: 60 % is out of reach, by the clock only."""
    *_, last = found_for(prepared, "latency=0.6")
    assert true_share(prepared, last.plan) > 0.6
    assert "no plan is within the time" in last.state.finished
    assert "more than the 60.0\N{NO-BREAK SPACE}% that were asked for: ask for less" in last.news


def test_without_a_time_it_is_the_search_and_without_a_plan_its_error(prepared: Any) -> None:
    updates = found_for(prepared, "macs=0.6")
    assert {update.news for update in updates} == {""}
    with pytest.raises(InputError, match="surely loses at most"):
        found_for(prepared, "latency=0.6", "drop=0.0")
