"""Several budgets at once, and constraints: they hold whatever the strategy."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pandas as pd
import pytest

from analysis import allocation
from analysis.allocation import STRATEGIES, Budget, Constraints, Request, parse_budgets
from analysis.plans import Meter, meter, start_plan
from analysis.plans.editing import lock, set_kept, set_ratio
from analysis.plans.entries import find, kept_counts
from analysis.records.plan import Plan, Recipe
from analysis.tasks import PEAK_RATIO, RIGHT_ANSWERS
from pruners.errors import InputError
from tests.analysis.allocation.chain import EVEN, EVEN_METER, METER, UNITS, points, start
from tests.analysis.points_tables import table
from tests.helpers.contexts import sample_context
from tests.helpers.plans import at_ratio, kept_dense

BY_BUDGET = [entry.name for entry in STRATEGIES if "budgets" in entry.needs and not entry.measures]
BOTH = (Budget("macs", 0.5), Budget("params", 0.6))


def counts(plan: Plan) -> dict[str, int]:
    return {entry.name: entry.kept for entry in plan.entries}


def holds(plan: Plan, budgets: tuple[Budget, ...], meter: Meter = METER) -> bool:
    return all(meter.share(plan, item.kind) <= item.limit + 1e-9 for item in budgets)


def test_several_budgets_are_parsed() -> None:
    assert parse_budgets(["macs=0.5,params=0.6"]) == BOTH
    assert parse_budgets(["macs=0.5", "params=0.6"]) == BOTH
    assert parse_budgets(()) == ()
    assert parse_budgets(["drop=1pp"]) == (Budget("drop", 0.01),)
    # In the units of other scores, which have no largest drop.
    assert parse_budgets(["drop=7%"]) == (Budget("drop", 0.07),)
    (half,) = parse_budgets(["drop=1.5dB"])
    half.check(PEAK_RATIO.words)
    assert half.text(PEAK_RATIO.words) == "a predicted drop of at most 1.5 dB"
    with pytest.raises(InputError, match="a drop of 150 pp cannot be"):
        half.check(RIGHT_ANSWERS.words)
    for texts in (["macs=0.5,macs=0.6"], ["drop=1pp", "drop=0.02"]):
        with pytest.raises(InputError, match="two budgets in"):
            parse_budgets(texts)
    for text in ("macs=0.5,", "macs=1pp", "drop=200pp", "drop=pp", "macs=inf"):
        with pytest.raises(InputError, match="budget"):
            parse_budgets([text])


@pytest.mark.parametrize("macs", [0.9, 0.5, 0.25])
@pytest.mark.parametrize("params", [0.9, 0.5, 0.25])
def test_uniform_takes_the_mildest_ratio_that_meets_all(macs: float, params: float) -> None:
    budgets = (Budget("macs", macs), Budget("params", params))
    found = allocation.allocate("uniform", Request(plan=start(), meter=METER, budgets=budgets))
    plans = (at_ratio(start(), UNITS, step / 2000) for step in range(2001))
    assert kept_counts(found.plan) == kept_counts(
        next(item for item in plans if holds(item, budgets))
    )
    assert found.spent == {kind: METER.share(found.plan, kind) for kind in ("macs", "params")}
    assert found.plan.recipe is not None
    assert found.plan.recipe.budgets == (f"macs={macs}", f"params={params}")


def test_of_several_budgets_those_out_of_reach_are_named() -> None:
    plan = kept_dense(start(), "c")
    budgets = (Budget("macs", 0.5), Budget("params", 0.05))
    found = allocation.allocate("uniform", Request(plan=plan, meter=METER, budgets=budgets))
    assert not found.feasible
    assert found.message.startswith(
        "at most 5.0\N{NO-BREAK SPACE}% of the parameters is out of reach"
    )
    assert found.blocking == ()
    free = allocation.allocate(
        "uniform",
        Request(plan=plan, meter=METER, budgets=(Budget("macs", 0.2), Budget("params", 0.1))),
    )
    assert (free.feasible, free.blocking) == (False, ("c",))
    assert "10.0\N{NO-BREAK SPACE}% of the parameters" in free.message


def test_a_size_and_a_drop_that_exclude_each_other() -> None:
    curves = pd.concat(
        table({("l1", name): [step / 20 for step in range(9)]}, total=total)
        for name, total in UNITS.items()
    )
    request = Request(plan=start(), meter=METER, points=curves)
    mild = (Budget("macs", 0.7), Budget("drop", 0.5))
    found = allocation.allocate("threshold", dataclasses.replace(request, budgets=mild))
    alone = allocation.allocate("threshold", dataclasses.replace(request, budgets=mild[:1]))
    assert found.feasible
    assert kept_counts(found.plan) == kept_counts(alone.plan)
    hard = (Budget("macs", 0.3), Budget("drop", 0.01))
    found = allocation.allocate("threshold", dataclasses.replace(request, budgets=hard))
    assert not found.feasible
    assert "a predicted drop of at most 1 pp is out of reach: the mildest plan" in found.message
    assert METER.share(found.plan, "macs") <= 0.3


@pytest.mark.parametrize("name", BY_BUDGET)
@pytest.mark.parametrize("seed", range(3))
def test_every_strategy_obeys_every_constraint(name: str, seed: int) -> None:
    source = random.Random(seed)
    for min_kept, tied, locked in itertools.product(
        (0, 0.3, 3), ((), (("a", "b"),), (("a", "b", "c"),)), (None, "a", "c")
    ):
        plan = start(units=EVEN)
        if locked:
            plan = lock(set_kept(plan, locked, source.randint(2, 4)), locked)
        limits = Constraints(min_kept=min_kept, tied=tied)
        budgets = tuple(
            dataclasses.replace(item, limit=source.choice((0.3, 0.6, 0.9))) for item in BOTH
        )
        request = Request(
            plan=plan,
            meter=EVEN_METER,
            points=points(seed, EVEN),
            budgets=budgets,
            prepared=seed,
            finish=limits.finish,
            tied=tied,
        )
        found = allocation.allocate(name, request)
        kept = counts(found.plan)
        assert found.feasible == holds(found.plan, budgets, EVEN_METER)
        assert found.feasible or "out of reach: the nearest plan leaves" in found.message
        assert found.spent == {
            item.kind: EVEN_METER.share(found.plan, item.kind) for item in budgets
        }
        if locked:
            assert find(found.plan, locked) == find(plan, locked)
        for entry in found.plan.entries:
            group = next((names for names in tied if entry.name in names), ())
            fixed = locked is not None and (entry.locked or locked in group)
            least = min_kept if min_kept >= 1 else min_kept * entry.total
            assert fixed or entry.kept >= min(least, entry.total)
            assert len({kept[item] for item in group}) <= 1


def test_counts_only_grow_and_keep_their_order() -> None:
    source = random.Random(0)
    limits = Constraints(min_kept=0.4, tied=(("a", "b"),))
    for _ in range(50):
        kept = {name: source.randint(1, total) for name, total in EVEN.items()}
        more = {name: source.randint(count, EVEN[name]) for name, count in kept.items()}
        first, second = (counts(limits.finish(start_with(item))) for item in (kept, more))
        assert all(first[name] >= count for name, count in kept.items())
        assert all(first[name] <= second[name] for name in EVEN)


def start_with(kept: dict[str, int]) -> Plan:
    plan = start(units=EVEN)
    for name, count in kept.items():
        plan = set_kept(plan, name, count)
    return plan


def test_constraints_that_contradict_themselves() -> None:
    plan = lock(set_kept(lock(set_kept(start(units=EVEN), "a", 2), "a"), "b", 3), "b")
    with pytest.raises(InputError, match="a at 2 and b at 3 are locked, but are to keep equally"):
        Constraints(tied=(("a", "b"),)).finish(plan)
    for value in (-1.0, 2.5, float("nan"), float("inf")):
        with pytest.raises(InputError, match="kept: expected a share below 1"):
            allocation.check_min_kept(value)


def test_equal_counts_are_over_layers_of_one_kind() -> None:
    prepared = sample_context("vit_tiny")
    plan = start_plan(prepared, criterion="l1")
    tied = allocation.equal_entries(prepared, plan)
    hidden = tuple(entry.name for entry in plan.entries if entry.layer.endswith("fc1"))
    assert len(hidden) > 1
    assert hidden in tied
    recipe = Recipe(budgets=("params=0.8",), equal=True, min_kept=0.5, round_to=4)
    found = allocation.fill_plan(prepared, plan, "global", recipe)
    kept = counts(found.plan)
    assert len({kept[name] for name in hidden}) == 1
    assert found.feasible
    assert found.plan.recipe == dataclasses.replace(recipe, normalizer="mean")
    assert all(entry.kept >= entry.total / 2 for entry in found.plan.entries)
    assert meter(prepared).share(found.plan, "params") <= 0.8


def test_a_layer_that_is_locked_sets_the_count_of_its_kind() -> None:
    plan = lock(set_ratio(start(units=EVEN), "a", 0.5), "a")
    assert counts(Constraints(tied=(("a", "b"),)).finish(plan)) == {"a": 3, "b": 3, "c": 6}
