"""One ratio everywhere: the mildest that meets a budget, by brute force."""

from __future__ import annotations

import random

import pytest

from analysis import allocation
from analysis.allocation import Budget, Request
from analysis.plans.editing import lock, set_ratio
from analysis.plans.entries import find, kept_counts
from analysis.records.plan import Plan
from tests.analysis.allocation.chain import (
    METER,
    UNITS,
    start,
)
from tests.analysis.points_tables import table
from tests.helpers.plans import at_ratio


def reference_uniform(plan: Plan, budget: Budget) -> dict[str, int] | None:
    """The mildest uniform plan within the budget, over a fine grid of ratios."""
    for step in range(2001):
        found = at_ratio(plan, UNITS, step / 2000)
        if METER.share(found, budget.kind) <= budget.limit:
            return kept_counts(found)
    return None


@pytest.mark.parametrize("kind", ["macs", "params"])
@pytest.mark.parametrize("limit", [0.9, 0.5, 0.25, 0.1, 0.05])
def test_uniform_finds_the_mildest_ratio(kind: str, limit: float) -> None:
    budget = Budget(kind, limit)
    found = allocation.allocate("uniform", Request(plan=start(), meter=METER, budgets=(budget,)))
    expected = reference_uniform(start(), budget)
    if expected is None:
        assert not found.feasible
        return
    assert found.feasible
    assert kept_counts(found.plan) == expected
    assert found.spent[kind] <= limit
    assert found.level is not None
    assert kept_counts(at_ratio(start(), UNITS, found.level)) == expected
    assert found.plan.strategy == "uniform"


@pytest.mark.parametrize("seed", range(4))
def test_uniform_respects_locks(seed: int) -> None:
    name = random.Random(seed).choice(list(UNITS))
    plan = lock(set_ratio(start(), name, 0.5), name)
    budget = Budget("macs", 0.4)
    found = allocation.allocate("uniform", Request(plan=plan, meter=METER, budgets=(budget,)))
    assert find(found.plan, name) == find(plan, name)
    assert kept_counts(found.plan) == reference_uniform(plan, budget)


def test_uniform_by_ratio_works_without_a_sweep() -> None:
    found = allocation.allocate("uniform", Request(plan=start(), meter=METER, ratio=0.5))
    assert kept_counts(found.plan) == {"a": 2, "b": 3, "c": 5}


def test_uniform_with_the_best_criterion_per_layer() -> None:
    curves = table({("l1", "a"): [0.1] * 9, ("fpgm", "a"): [0.0] * 9, ("l1", "b"): [0.1] * 9})
    found = allocation.allocate(
        "uniform",
        Request(plan=start(), meter=METER, points=curves, ratio=0.5, criteria="best"),
    )
    assert [entry.criterion for entry in found.plan.entries] == ["fpgm", "l1", "l1"]


def test_a_short_ratio_for_people() -> None:
    found = allocation.allocate(
        "uniform", Request(plan=start(), meter=METER, budgets=(Budget("macs", 0.5),))
    )
    assert found.level == round(found.level or 0, 4)
