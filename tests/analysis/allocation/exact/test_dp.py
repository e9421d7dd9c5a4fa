"""The strategy dp against brute force: a chain in closed form, and models whose groups interact."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pandas as pd
import pytest

from analysis import allocation
from analysis.allocation import Budget, Constraints, Request
from analysis.plans import Meter, meter, predict, start_plan
from analysis.plans.editing import lock, set_criterion, set_kept
from analysis.plans.entries import kept_counts
from analysis.records.plan import Plan
from tests.analysis.allocation.chain import EVEN_METER, METER, UNITS, points, start
from tests.analysis.points_tables import curve
from tests.helpers.contexts import sample_context
from tests.helpers.plans import kept_dense

COLUMN = {"drop": "accuracy_drop", "loss": "loss_delta", "kl": "kl"}


def options(curves: pd.DataFrame, plan: Plan, cost: str) -> list[dict[int, float]]:
    """Costs by kept count of each entry: running maxima, read by hand."""
    found = []
    for entry in plan.entries:
        own = curves[(curves["layer"] == entry.layer) & (curves["criterion"] == entry.criterion)]
        highest, by_kept = 0.0, {entry.total: 0.0}
        for kept, value in zip(own["kept"], own[COLUMN[cost]], strict=True):
            highest = max(highest, value)
            by_kept[kept] = highest
        by_kept[entry.total] = 0.0
        found.append({entry.kept: by_kept[entry.kept]} if entry.locked else by_kept)
    return found


def with_kept(plan: Plan, kept: tuple[int, ...]) -> Plan:
    for entry, count in zip(plan.entries, kept, strict=True):
        plan = set_kept(plan, entry.name, count) if count != entry.kept else plan
    return plan


def brute(
    plan: Plan, curves: pd.DataFrame, sizes: Meter, budgets: tuple[Budget, ...], cost: str = "drop"
) -> float:
    """The least sum over all combinations of measured counts."""
    best, choices = math.inf, options(curves, plan, cost)
    for kept in itertools.product(*choices):
        total = sum(by_kept[count] for by_kept, count in zip(choices, kept, strict=True))
        if total < best - 1e-12:
            tried = with_kept(plan, kept)
            if all(sizes.share(tried, item.kind) <= item.limit + 1e-12 for item in budgets):
                best = total
    return best


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "budgets",
    [
        (Budget("macs", 0.5),),
        (Budget("params", 0.35),),
        (Budget("macs", 0.45), Budget("params", 0.6)),
    ],
)
def test_the_least_sum_on_a_chain(seed: int, budgets: tuple[Budget, ...]) -> None:
    curves = points(seed)
    for plan, cost in (
        (start(), "drop"),
        (start(), "loss"),
        (lock(set_kept(start(), "b", 4), "b"), "drop"),
    ):
        request = Request(plan=plan, meter=METER, points=curves, budgets=budgets, cost=cost)
        found = allocation.allocate("dp", request)
        assert found.feasible
        assert "cut short" not in found.message
        assert found.plan.strategy == "dp"
        assert found.level == pytest.approx(brute(plan, curves, METER, budgets, cost), abs=1e-6)
        assert all(found.spent[item.kind] <= item.limit for item in budgets)


def random_curves(plan: Plan, seed: int, *, ratios: tuple[float, ...]) -> pd.DataFrame:
    source = np.random.default_rng(seed)
    return pd.concat(
        curve(
            np.cumsum(source.exponential(0.02, len(ratios))).tolist(),
            layer=entry.layer,
            ratios=ratios,
            total=entry.total,
        )
        for entry in plan.entries
    )


@pytest.mark.parametrize(
    ("name", "ratios"),
    [("lenet5", (0.2, 0.4, 0.6, 0.8)), ("resnet20", (0.5,)), ("vit_tiny", (0.5,))],
)
@pytest.mark.parametrize("kind", ["macs", "params"])
def test_the_least_sum_where_groups_interact(
    name: str, ratios: tuple[float, ...], kind: str
) -> None:
    prepared = sample_context(name)
    plan = start_plan(prepared, criterion="l1")
    sizes, curves = meter(prepared), random_curves(plan, 0, ratios=ratios)
    # Combinations that brute force can go through.
    for entry in plan.entries[8:]:
        plan = kept_dense(plan, entry.name)
    strongest = with_kept(plan, tuple(min(found) for found in options(curves, plan, "drop")))
    for part in (0.3, 0.7):
        budget = Budget(kind, 1 - part * (1 - sizes.share(strongest, kind)))
        request = Request(plan=plan, meter=sizes, points=curves, budgets=(budget,))
        found = allocation.allocate("dp", request)
        assert found.feasible
        assert found.level == pytest.approx(brute(plan, curves, sizes, (budget,)), abs=1e-6)
        assert found.spent[kind] == sizes.share(found.plan, kind) <= budget.limit


def test_dp_costs_no_more_than_the_other_strategies() -> None:
    prepared = sample_context("resnet20")
    plan = start_plan(prepared, criterion="l1")
    curves = random_curves(plan, 1, ratios=tuple(step / 10 for step in range(1, 10)))
    for limit in (0.7, 0.5, 0.35):
        request = Request(
            plan=plan, meter=meter(prepared), points=curves, budgets=(Budget("macs", limit),)
        )
        drops = {
            name: predict(allocation.allocate(name, request).plan, curves).drop
            for name in ("dp", "greedy", "threshold")
        }
        assert drops["dp"] <= min(drops.values()) + 1e-6


def test_the_smallest_model_within_a_drop() -> None:
    curves = points(1)
    budget = Budget("drop", 0.05)
    request = Request(plan=start(), meter=METER, points=curves, budgets=(budget,))
    found = allocation.allocate("dp", request)
    choices = options(curves, start(), "drop")
    least = min(
        METER.share(with_kept(start(), kept), "macs")
        for kept in itertools.product(*choices)
        if predict(with_kept(start(), kept), curves).drop <= budget.limit + 1e-12
    )
    assert METER.share(found.plan, "macs") == pytest.approx(least)
    assert found.spent["drop"] <= 0.05 + 1e-9
    both = (Budget("macs", 0.3), Budget("drop", 0.001))
    none = allocation.allocate("dp", dataclasses.replace(request, budgets=both))
    assert not none.feasible
    assert none.message.startswith("a predicted drop of at most 0.1 pp is out of reach")
    assert METER.share(none.plan, "macs") <= 0.3


def test_equal_counts_are_one_choice() -> None:
    curves = pd.concat(
        curve([step * rate for step in range(1, 6)], layer=name, ratios=RATIOS, total=6)
        for name, rate in (("a", 0.01), ("b", 0.03), ("c", 0.001))
    )
    plan = start(units=dict.fromkeys(UNITS, 6))
    tied = (("a", "b"),)
    request = Request(
        plan=plan,
        meter=EVEN_METER,
        points=curves,
        budgets=(Budget("macs", 0.5),),
        finish=Constraints(tied=tied).finish,
        tied=tied,
    )
    found = allocation.allocate("dp", request)
    kept = {entry.name: entry.kept for entry in found.plan.entries}
    assert kept["a"] == kept["b"]
    tried = [
        (4 * (6 - both) / 100 + (6 - last) / 1000, both, last)
        for both in range(1, 7)
        for last in range(1, 7)
        if EVEN_METER.share(with_kept(plan, (both, both, last)), "macs") <= 0.5
    ]
    assert (found.level, kept["a"], kept["c"]) == pytest.approx(min(tried), abs=1e-6)


RATIOS = tuple(step / 6 for step in range(1, 6))


def test_best_criteria_are_chosen_with_the_counts() -> None:
    curves = points(4)
    request = Request(
        plan=start(), meter=METER, points=curves, budgets=(Budget("macs", 0.5),), criteria="best"
    )
    found = allocation.allocate("dp", request)
    fixed = [
        brute(plan, curves, METER, request.budgets)
        for plan in (
            with_criteria(chosen) for chosen in itertools.product(("l1", "fpgm"), repeat=3)
        )
    ]
    assert found.level == pytest.approx(min(fixed), abs=1e-6)


def with_criteria(chosen: tuple[str, ...]) -> Plan:
    plan = start()
    for name, criterion in zip(UNITS, chosen, strict=True):
        plan = set_criterion(plan, name, criterion)
    return plan


def test_out_of_reach_names_the_lock() -> None:
    plan = kept_dense(start(), "a")
    request = Request(plan=plan, meter=METER, points=points(0), budgets=(Budget("macs", 0.3),))
    found = allocation.allocate("dp", request)
    assert (found.feasible, found.blocking) == (False, ("a",))
    assert "unlocking a would be enough" in found.message
    assert kept_counts(found.plan) == {"b": 1, "c": 1}
