"""Trades: within the budget, no more than needed, and locks stay."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

from analysis.allocation.constraints import equal_entries
from analysis.edits import PreparedSubject
from analysis.plans.apply import start_plan
from analysis.plans.editing import lock, set_kept
from analysis.plans.entries import find
from analysis.plans.size import Meter, meter
from analysis.records.plan import Plan
from analysis.search.alone import Curve
from analysis.search.beliefs import Beliefs
from analysis.search.trades import Problem, key_of, smaller, trades
from tests.helpers.contexts import sample_context
from tests.helpers.plans import at_ratio

CRITERIA = ("l1", "taylor")


@functools.cache
def prepared() -> PreparedSubject:
    return sample_context("lenet5")


@functools.cache
def sizes() -> Meter:
    return meter(prepared())


def share(plan: Plan) -> float:
    return sizes().share(plan, "macs")


def problem(plan: Plan, level: float, tied: tuple[tuple[str, ...], ...] = ()) -> Problem:
    curves = {
        entry.name: {
            criterion: Curve(np.array([0.0, entry.total]), np.array([weight * (at + 1), 0.0]))
            for weight, criterion in enumerate(CRITERIA, start=1)
        }
        for at, entry in enumerate(plan.entries)
    }
    return Problem(curves=curves, fits=lambda plan: share(plan) <= level, share=share, tied=tied)


@pytest.fixture
def plan() -> Plan:
    start = start_plan(prepared(), criterion="l1")
    return at_ratio(start, [entry.name for entry in start.entries], 0.5)


def beliefs(plan: Plan) -> Beliefs:
    return Beliefs([entry.name for entry in plan.entries])


def test_every_trade_fits_and_takes_no_more_than_it_must(plan: Plan) -> None:
    level = share(plan)
    found = trades(problem(plan, level), plan, beliefs(plan))
    assert found
    assert len({key_of(trade.plan) for trade in found}) == len(found)
    paid = 0
    for trade in found:
        assert share(trade.plan) <= level
        before = {entry.name: entry for entry in plan.entries}
        less = [item for item in trade.plan.entries if item.kept < before[item.name].kept]
        for entry in less:
            paid += 1
            assert share(set_kept(trade.plan, entry.name, entry.kept + 1)) > level
    assert paid
    hopes = [trade.forecast.hope for trade in found]
    assert hopes == sorted(hopes)


def test_a_trade_tells_the_change_of_single_costs(plan: Plan) -> None:
    asked = problem(plan, share(plan))
    for trade in trades(asked, plan, beliefs(plan)):
        for name, change in trade.change.items():
            before, after = find(plan, name), find(trade.plan, name)
            expected = asked.alone(after) - asked.alone(before)
            assert change == pytest.approx(expected, abs=1e-12)
        assert trade.forecast.mean == pytest.approx(sum(trade.change.values()), abs=1e-12)


def test_what_fits_anyway_is_given_back_for_nothing(plan: Plan) -> None:
    found = trades(problem(plan, 1.0), plan, beliefs(plan))
    assert any(
        all(
            after.kept >= before.kept
            for after, before in zip(t.plan.entries, plan.entries, strict=True)
        )
        and share(t.plan) > share(plan)
        for t in found
    )


def test_locked_entries_stay_and_tied_ones_move_together(plan: Plan) -> None:
    first = plan.entries[0].name
    locked = lock(plan, first)
    for trade in trades(problem(locked, share(locked)), locked, beliefs(plan)):
        assert find(trade.plan, first) == find(locked, first)


def test_tied_entries_move_together() -> None:
    prepared = sample_context("vit_tiny")
    start = start_plan(prepared, criterion="l1")
    names = max(equal_entries(prepared, start), key=len)
    plan = at_ratio(start, [entry.name for entry in start.entries], 0.5)
    sizes = meter(prepared)
    limit = sizes.share(plan, "macs")
    asked = dataclasses.replace(
        problem(plan, limit, tied=(names,)),
        fits=lambda plan: sizes.share(plan, "macs") <= limit,
        share=lambda plan: sizes.share(plan, "macs"),
    )
    moved = 0
    for trade in trades(asked, plan, beliefs(plan)):
        kept = {find(trade.plan, name).kept for name in names}
        assert len(kept) == 1
        moved += kept != {find(plan, names[0]).kept}
    assert moved


def test_smaller_plans_fit_and_keep_a_unit(plan: Plan) -> None:
    level = 0.6 * share(plan)
    found = smaller(problem(plan, level), plan, beliefs(plan))
    assert found
    for trade in found:
        assert share(trade.plan) <= level
        assert all(
            1 <= after.kept <= before.kept
            for after, before in zip(trade.plan.entries, plan.entries, strict=True)
        )
    assert smaller(problem(plan, 0.0), plan, beliefs(plan)) == []
