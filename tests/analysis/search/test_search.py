"""The search: measured on other samples, better than where it began, and the same after a kill."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.measuring.slices import Slices
from analysis.plans.apply import start_plan
from analysis.plans.editing import lock, set_kept
from analysis.plans.entries import find
from analysis.plans.size import meter
from analysis.records.plan import Plan, Recipe
from analysis.records.subject import SubjectSpec
from analysis.search import judge as judging
from analysis.search.data import Effort, on_search_data, search_data
from analysis.search.goal import goal_of
from analysis.search.judge import Judge, Scored
from analysis.search.records import Aim, SearchUpdate
from analysis.search.search import iter_search
from analysis.search.trades import key_of
from analysis.subjects.subject import load_subject
from analysis.sweeps.exhaustive import ExhaustiveSweep
from pruners.errors import InputError, UnmetError, comes_again


@pytest.fixture(scope="module")
def prepared() -> PreparedSubject:
    spec = SubjectSpec(
        model="sample:lenet5", data="sample:fashion-mnist", samples=300, calibration_samples=64
    )
    return prepare(load_subject(spec))


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "analysis.search.search.search_data", lambda it: search_data(it, samples=400)
    )
    monkeypatch.setattr(judging, "effort_of", lambda _: Effort(slice_samples=100))


def start(prepared: PreparedSubject, repair: str = "lsq") -> Plan:
    return dataclasses.replace(start_plan(prepared, criterion="l1"), repair=repair)


def aim(*budgets: str, trials: int = 6, **changes: object) -> Aim:
    return Aim(recipe=Recipe(budgets=budgets), trials=trials, criteria=("l1",), **changes)  # type: ignore[arg-type]


def last(
    prepared: PreparedSubject, plan: Plan, asked: Aim, folder: Path | None = None
) -> SearchUpdate:
    *_, found = iter_search(prepared, plan, asked, folder=folder)
    return found


def told(update: SearchUpdate) -> object:
    return dataclasses.replace(update.state, seconds=0.0)


def test_it_ends_no_worse_than_where_it_began(prepared: PreparedSubject) -> None:
    found = last(prepared, start(prepared), aim("macs=0.6"))
    assert found.plan is not None
    assert meter(prepared).share(found.plan, "macs") == found.share <= 0.6
    assert found.plan.strategy == "search"
    first = [item for item in found.state.tried if item.origin != "trade"]
    assert {item.origin for item in first} >= {"uniform", "global", "greedy", "dp"}
    best = found.state.tried[found.state.best or 0]
    assert best.cost <= min(item.cost for item in first)
    accepted = [item for item in found.state.tried if item.accepted]
    assert [item.cost for item in accepted] == sorted(
        (item.cost for item in accepted), reverse=True
    )


def test_a_search_that_was_killed_goes_on_to_the_same_plan(
    prepared: PreparedSubject, tmp_path: Path
) -> None:
    plan, asked = start(prepared), aim("macs=0.6")
    undisturbed = last(prepared, plan, asked)
    for kill in itertools.count(1):
        # Another process has nothing in memory.
        fresh = dataclasses.replace(prepared)
        updates = list(
            itertools.islice(iter_search(fresh, plan, asked, folder=tmp_path), 3 + 2 * kill)
        )
        if updates[-1].stage == "Done":
            break
    assert kill > 1
    assert told(updates[-1]) == told(undisturbed)
    assert updates[-1].plan == undisturbed.plan


def killed_after_each_plan(
    prepared: PreparedSubject, plan: Plan, asked: Aim, folder: Path
) -> SearchUpdate:
    while True:
        for update in iter_search(prepared, plan, asked, folder=folder):
            if update.stage == "Done":
                return update
            if not update.stage.startswith("Measuring"):
                break


def test_a_search_for_a_drop_that_was_killed_after_each_plan_goes_on_to_the_same(
    prepared: PreparedSubject, tmp_path: Path
) -> None:
    plan, asked = start(prepared, "none"), aim("drop=0.1", trials=12)
    found = killed_after_each_plan(prepared, plan, asked, tmp_path)
    undisturbed = last(prepared, plan, asked)
    assert {item.origin for item in undisturbed.state.tried} >= {"trade", "smaller"}
    assert told(found) == told(undisturbed)


def test_a_search_that_was_killed_tells_what_would_hold_the_drop_all_the_same(
    prepared: PreparedSubject, tmp_path: Path
) -> None:
    plan, asked = start(prepared, "none"), aim("drop=0.05", "macs=0.5", trials=3)
    with pytest.raises(InputError, match="the drop holds at macs=") as undisturbed:
        last(prepared, plan, asked)
    with pytest.raises(InputError) as killed:
        killed_after_each_plan(prepared, plan, asked, tmp_path)
    assert str(killed.value) == str(undisturbed.value)


def test_layers_that_were_measured_alone_are_not_measured_again(
    prepared: PreparedSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither after a kill amid them nor for another budget, in a process that knows nothing."""
    plan, asked = start(prepared), aim("macs=0.6", trials=0)
    undisturbed = last(dataclasses.replace(prepared), plan, asked)
    slices = []
    usual = ExhaustiveSweep._add

    def noted(self: ExhaustiveSweep, number: int, *rest: object) -> None:
        slices.append(number)
        usual(self, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ExhaustiveSweep, "_add", noted)
    found = []
    for budget in ("macs=0.6", "macs=0.6", "macs=0.5"):
        asked = aim(budget, trials=0)
        search = iter_search(dataclasses.replace(prepared), plan, asked, folder=tmp_path)
        # The first one is killed after its first slice.
        found.append(next(search) if not found else list(search)[-1])
    assert found[0].stage == "Measuring every layer alone"
    assert slices == [0, 1, 2]
    assert told(found[1]) == told(undisturbed)


@pytest.mark.parametrize("budget", ["macs=0.6", "drop=0.1"])
def test_first_plans_that_were_measured_are_not_measured_again(
    prepared: PreparedSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: str
) -> None:
    """A search that was killed amid them began them anew; so did one that the time had ended."""
    plan, asked = start(prepared, "none"), aim(budget, trials=0)
    undisturbed = last(dataclasses.replace(prepared), plan, asked)
    measured: list[str] = []
    usual = Judge.score

    def noted(self: Judge, plan: Plan, *more: Any) -> Scored:
        measured.append(key_of(plan))
        return usual(self, plan, *more)

    monkeypatch.setattr(Judge, "score", noted)
    update: SearchUpdate | None = None
    while update is None or update.stage != "Done":
        # Killed after each plan that was measured.
        before = len(measured)
        search = iter_search(dataclasses.replace(prepared), plan, asked, folder=tmp_path)
        for update in search:  # noqa: B007
            if len(measured) > before:
                break
    assert told(update) == told(undisturbed)
    # But the best one, where it is asked whether it holds the drop.
    again = [key for key, times in Counter(measured).items() if times > 1]
    assert len(again) == budget.startswith("drop")
    assert len(measured) > 3


def test_a_search_of_a_sweep_on_several_devices_measures_on_one(
    prepared: PreparedSubject,
) -> None:
    """Other processes opened the samples to evaluate, and found other data than it searches on."""
    plan, asked = start(prepared, "none"), aim("macs=0.6", trials=0)
    shared = dataclasses.replace(plan, subject=dataclasses.replace(plan.subject, device="cpu,cpu"))
    found = last(dataclasses.replace(prepared), shared, asked)
    assert told(found) == told(last(prepared, plan, asked))


def test_more_trials_go_on_from_what_is_kept(prepared: PreparedSubject, tmp_path: Path) -> None:
    plan = start(prepared)
    last(prepared, plan, aim("macs=0.6", trials=2), tmp_path)
    found = last(prepared, plan, aim("macs=0.6", trials=5), tmp_path)
    assert told(found) == told(last(prepared, plan, aim("macs=0.6", trials=5)))


def test_a_damaged_file_begins_anew(prepared: PreparedSubject, tmp_path: Path) -> None:
    plan, asked = start(prepared), aim("macs=0.6", trials=1)
    before = last(prepared, plan, asked, tmp_path)
    for file in tmp_path.iterdir():
        file.write_text("{")
    assert told(last(prepared, plan, asked, tmp_path)) == told(before)


def test_a_drop_holds_on_the_search_data_and_the_model_gets_smaller(
    prepared: PreparedSubject,
) -> None:
    found = last(prepared, start(prepared), aim("drop=0.03", trials=8))
    assert found.plan is not None
    assert found.share is not None
    assert found.share < 1.0
    searched = on_search_data(prepared, search_data(prepared.subject, samples=400))
    scored = Judge(searched, "lsq").score(found.plan)
    task = prepared.subject.task
    assert task.drop(scored.sums) == pytest.approx(found.drop)
    assert task.drop_interval(scored.sums, 0.8).high <= 0.03
    held = [item.share for item in found.state.tried if item.accepted]
    assert min(held) == found.share


def test_what_is_evaluated_is_not_looked_at(
    prepared: PreparedSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()
    read = Slices.read

    def watched(self: Slices, number: int) -> object:
        first, size = self.start(number), self.size(number)
        seen.update(self._split.indices[first : first + size])
        assert self._split.source is evaluation.source
        return read(self, number)

    evaluation = prepared.subject.evaluation
    assert evaluation is not None
    monkeypatch.setattr(Slices, "read", watched)
    last(prepared, start(prepared, "none"), aim("macs=0.7", trials=2))
    assert len(seen) == 400
    assert not seen & set(evaluation.indices)


def test_locked_layers_stay_and_constraints_hold(prepared: PreparedSubject) -> None:
    plan = start(prepared, "none")
    name = plan.entries[1].name
    plan = lock(set_kept(plan, name, 11), name)
    asked = Aim(recipe=Recipe(budgets=("macs=0.8",), round_to=4), trials=3, criteria=("l1",))
    found = last(prepared, plan, asked)
    assert found.plan is not None
    assert find(found.plan, name).kept == 11
    assert all(
        item.kept % 4 == 0 or item.kept == item.total
        for item in found.plan.entries
        if item.name != name
    )


def test_several_budgets_hold_together(prepared: PreparedSubject) -> None:
    found = last(prepared, start(prepared, "none"), aim("macs=0.8", "params=0.4", trials=2))
    assert found.plan is not None
    sizes = meter(prepared)
    assert sizes.share(found.plan, "macs") <= 0.8
    assert sizes.share(found.plan, "params") <= 0.4


def test_what_cannot_be_met_is_said(prepared: PreparedSubject) -> None:
    with pytest.raises(InputError, match="out of reach"):
        last(prepared, start(prepared, "none"), aim("macs=0.00001"))
    plan = start(prepared, "none")
    for entry in plan.entries:
        plan = lock(plan, entry.name)
    with pytest.raises(InputError, match="not locked"):
        last(prepared, plan, aim("macs=0.5"))


def test_it_stops_when_it_is_told(prepared: PreparedSubject) -> None:
    asked, stop = aim("macs=0.8"), threading.Event()
    updates = []
    for update in iter_search(prepared, start(prepared, "none"), asked, cancel=stop.is_set):
        updates.append(update)
        if update.stage.startswith("Trading"):
            stop.set()
    assert updates[-1].plan is not None
    assert updates[-1].state.trials == 1
    timed = last(prepared, start(prepared, "none"), aim("macs=0.8", seconds=0.0))
    assert timed.state.trials == 0
    assert timed.state.finished == "the time is over"


def test_a_drop_and_a_size_are_reached_together_or_told_in_one_line(
    prepared: PreparedSubject, tmp_path: Path
) -> None:
    """What was found nearest is said, and a resumed search says the same."""
    plan, asked = start(prepared), aim("drop=0", "macs=0.3", trials=3)
    with pytest.raises(InputError, match=r"at macs=0\.3; .* the nearest loses \d") as caught:
        last(prepared, plan, asked, tmp_path)
    assert "\n" not in str(caught.value)
    # All trades were tried, with time left.
    assert comes_again(caught.value)
    with pytest.raises(InputError, match="the nearest loses"):
        last(dataclasses.replace(prepared), plan, asked, tmp_path)
    with pytest.raises(UnmetError, match="the nearest loses") as late:
        last(prepared, plan, aim("drop=0", "macs=0.3", seconds=1e-9))
    assert not comes_again(late.value)
    # A drop that no first plan of the size holds, and that trades reach.
    sized = last(prepared, plan, aim("macs=0.5", trials=12))
    assert sized.drop is not None
    searched = on_search_data(prepared, search_data(prepared.subject, samples=400))
    first = min((item for item in sized.state.tried[:5]), key=lambda item: item.cost)
    assert sized.state.tried[sized.state.best or 0].cost < first.cost
    scored = Judge(searched, "lsq").score(sized.plan)  # type: ignore[arg-type]
    limit = prepared.subject.task.drop_interval(scored.sums, 0.8).high + 0.002
    found = last(prepared, plan, aim(f"drop={limit}", "macs=0.5", trials=20))
    assert found.plan is not None
    assert meter(prepared).share(found.plan, "macs") <= 0.5
    assert goal_of(searched, plan, aim(f"drop={limit}")).holds(
        Judge(searched, "lsq").score(found.plan)
    )


def test_the_time_ends_curves_and_first_plans_too(
    prepared: PreparedSubject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A search of 0 s measured all curves and all first plans before."""
    ticks = itertools.count()
    monkeypatch.setattr("analysis.search.search.time.perf_counter", lambda: float(next(ticks)))
    fresh = dataclasses.replace(prepared)
    whole = last(fresh, start(fresh), aim("macs=0.6", trials=0)).state.tried
    counts = []
    for seconds in (0.0, 60.0, 80.0):
        fresh = dataclasses.replace(prepared)
        asked = aim("macs=0.6", trials=3, seconds=seconds)
        found = last(fresh, start(fresh), asked, tmp_path / f"{seconds:g}")
        assert found.plan is not None
        assert found.state.finished == "the time is over"
        counts.append(len(found.state.tried))
    assert counts[0] == 1 <= counts[1] <= counts[2] <= len(whole)
    # With more time it is the search that nobody hurried.
    monkeypatch.undo()
    unhurried = aim("macs=0.6", trials=3)
    again = last(dataclasses.replace(prepared), start(prepared), unhurried, tmp_path / "60")
    assert told(again) == told(last(prepared, start(prepared), unhurried))


def test_curves_leave_time_for_plans(
    prepared: PreparedSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a language model the curves took all of the time that was given."""
    now, seen = [0.0], []
    monkeypatch.setattr("analysis.search.search.time.perf_counter", lambda: now[0])

    def slow(
        *_given: object, is_late: Callable[[], bool], **_more: object
    ) -> Iterator[pd.DataFrame]:
        while not is_late():
            now[0] += 1.0
        seen.append(now[0])
        yield pd.DataFrame()

    monkeypatch.setattr("analysis.search.search.measured_alone", slow)
    fresh = dataclasses.replace(prepared)
    for update in iter_search(fresh, start(fresh, "none"), aim("macs=0.6", seconds=60.0)):
        if update.stage == "Measuring first plans":
            now[0] += 20.0
    assert seen == [30.0]
    assert update.state.finished == "the time is over"
    # The second plan begins at 50 s, and none after the time.
    assert len(update.state.tried) == 2
