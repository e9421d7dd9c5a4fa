"""Strategies against brute force on small models with a closed-form cost."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from analysis import allocation
from analysis.allocation import STRATEGIES, Budget, Request, parse_budget
from analysis.plans import clear, from_json, kept_whole, resolve, start_plan, to_json
from analysis.plans.editing import lock, set_ratio
from analysis.plans.entries import find, kept_counts
from analysis.plans.prediction import Prediction, predict
from analysis.records.plan import Plan, Recipe
from pruners.errors import InputError, UnknownNameError, UnsupportedError
from tests.analysis.allocation.chain import (
    METER,
    UNITS,
    chain_sizes,
    points,
    ranked_by_hand,
    start,
)
from tests.analysis.points_tables import table
from tests.helpers.contexts import sample_context
from tests.helpers.plans import at_ratio, kept_dense

# What is asked for a share here; a strategy may well take a ratio or a tolerance alone.
BY_BUDGET = [entry.name for entry in STRATEGIES if "budgets" in entry.needs and not entry.measures]


def test_out_of_reach_names_the_lock_that_blocks() -> None:
    plan = kept_dense(kept_dense(start(), "a"), "c")
    request = Request(plan=plan, meter=METER, budgets=(Budget("macs", 0.3),))
    found = allocation.allocate("uniform", request)
    assert not found.feasible
    assert found.blocking == ("a",)
    assert "unlocking a would be enough" in found.message
    # The nearest plan: b at its strongest.
    assert kept_counts(found.plan) == {"b": 1}
    assert found.spent == pytest.approx({"macs": METER.share(found.plan, "macs")})


def test_out_of_reach_by_two_locks_together() -> None:
    plan = kept_dense(kept_dense(start(), "a"), "b")
    request = Request(plan=plan, meter=METER, budgets=(Budget("macs", 0.2),))
    found = allocation.allocate("uniform", request)
    assert found.blocking == ("a", "b")
    assert "together" in found.message


def test_out_of_reach_without_locks() -> None:
    request = Request(plan=start(), meter=METER, budgets=(Budget("macs", 0.001),))
    found = allocation.allocate("uniform", request)
    assert not found.feasible
    assert found.blocking == ()
    assert "all that the strategy can remove" in found.message
    assert kept_counts(found.plan) == {"a": 1, "b": 1, "c": 1}


def test_locked_drops_alone_beyond_the_budget() -> None:
    curves = table({("l1", name): [0.2] * 9 for name in UNITS})
    plan = lock(set_ratio(start(), "c", 0.5), "c")
    request = Request(plan=plan, meter=METER, points=curves, budgets=(Budget("drop", 0.1),))
    found = allocation.allocate("threshold", request)
    assert not found.feasible
    assert found.blocking == ("c",)
    assert "20.00 pp" in found.message


def test_masked_weights_count_as_params_but_not_as_macs() -> None:
    plan = at_ratio(start("element"), UNITS, 0.5)
    assert METER.sizes(plan) == (96 - 48, chain_sizes({})[1])
    request = Request(plan=start("element"), meter=METER, budgets=(Budget("params", 0.5),))
    found = allocation.allocate("uniform", request)
    assert METER.sizes(found.plan)[0] == 48
    with pytest.raises(UnsupportedError, match="give the budget in params"):
        METER.share(plan, "macs")


def test_budgets() -> None:
    assert parse_budget("macs=0.5") == Budget("macs", 0.5)
    assert str(parse_budget("drop=0.01")) == "drop=0.01"
    assert parse_budget("drop=0") == Budget("drop", 0.0)
    for text in ("macs", "flops=0.5", "macs=half", "macs=0", "macs=50", "macs=nan"):
        with pytest.raises(InputError, match="budget"):
            parse_budget(text)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("uniform", {}, "exactly one of budgets, ratio; found none"),
        ("uniform", {"ratio": 0.5, "budgets": (Budget("macs", 0.5),)}, "found budgets and ratio"),
        ("threshold", {"tolerance": 0.1}, "run a sweep first"),
        ("uniform", {"tolerance": 0.1}, "exactly one of budgets, ratio; found tolerance"),
        ("uniform", {"budgets": (Budget("drop", 0.1),)}, "run a sweep first"),
        ("uniform", {"ratio": 0.5, "criteria": "worst"}, "known: best, fixed"),
        ("uniform", {"ratio": 1.5}, "between 0 and 1"),
    ],
)
def test_bad_requests(name: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        allocation.allocate(name, Request(plan=start(), meter=METER, **changes))  # type: ignore[arg-type]


def test_registry() -> None:
    assert {"uniform", "threshold"} <= set(STRATEGIES.names())
    with pytest.raises(UnknownNameError, match="strategy 'magic'"):
        allocation.allocate("magic", Request(plan=start(), meter=METER))
    for entry in STRATEGIES:
        assert entry.help.endswith(".")
        assert entry.needs - {"points"} <= {"ratio", "tolerance", "budgets"}


def test_global_strategy_fills_by_rank_and_needs_scores() -> None:
    request = Request(plan=start(), meter=METER, ratio=0.5)
    with pytest.raises(InputError, match="scores of a loaded model"):
        allocation.allocate("global", request)
    ranked = dataclasses.replace(request, prepared=0)
    found = allocation.allocate("global", ranked).plan
    assert found.strategy == "global"
    assert sum(entry.kept for entry in found.entries) == 10


def test_global_ranking_takes_the_best_criterion_of_the_run() -> None:
    """The run's first criterion was taken, though the help said best."""
    curves = table(
        {("l1", name): [0.1] * 9 for name in UNITS} | {("fpgm", name): [0.05] * 9 for name in UNITS}
    )
    request = Request(
        plan=start(),
        meter=METER,
        points=curves,
        ratio=0.5,
        criteria="best",
        prepared=lambda plan, ratio: ranked_by_hand(plan, ratio, len(plan.entries[0].criterion)),
    )
    found = allocation.allocate("global", request)
    assert {entry.criterion for entry in found.plan.entries} == {"fpgm"}
    assert "fpgm ranks best" in found.message
    fixed = allocation.allocate("global", dataclasses.replace(request, criteria="fixed"))
    assert {entry.criterion for entry in fixed.plan.entries} == {"l1"}
    without = allocation.allocate("global", dataclasses.replace(request, points=None))
    assert kept_counts(without.plan) == kept_counts(fixed.plan)


def test_drops_are_those_that_are_predicted_where_more_is_known_than_single_ones() -> None:
    """Budgets in drop, and the choice of a criterion, added single drops."""
    curves = points(1)

    def doubled(plan: Plan) -> Prediction:
        found = predict(plan, curves)
        return dataclasses.replace(found, drop=2 * found.drop)

    request = Request(plan=start(), meter=METER, points=curves, budgets=(Budget("drop", 0.2),))
    half = dataclasses.replace(request, budgets=(Budget("drop", 0.1),))
    added = allocation.allocate("threshold", request)
    found = allocation.allocate("threshold", dataclasses.replace(request, predict=doubled))
    assert found.plan.entries == allocation.allocate("threshold", half).plan.entries
    assert found.plan.entries != added.plan.entries
    assert found.spent["drop"] == pytest.approx(doubled(found.plan).drop)
    # What adds up exactly goes on to add; and where nothing is known single drops are added.
    for name, told in (("dp", doubled), ("threshold", lambda plan: None)):
        asked = dataclasses.replace(request, predict=told)
        assert allocation.allocate(name, asked) == allocation.allocate(name, request)

    drops = {"l1": 0.02, "fpgm": 0.01}
    tie = table({(name, layer): [drop] * 9 for name, drop in drops.items() for layer in UNITS})
    ranked = Request(
        plan=start(),
        meter=METER,
        points=tie,
        ratio=0.5,
        criteria="best",
        prepared=lambda plan, ratio: ranked_by_hand(plan, ratio, 0),
    )

    def turned(plan: Plan) -> Prediction:
        drop = 0.1 - drops[plan.entries[0].criterion]
        return Prediction(drop, drop, drop)

    assert allocation.allocate("global", ranked).plan.entries[0].criterion == "fpgm"
    asked = dataclasses.replace(ranked, predict=turned)
    assert allocation.allocate("global", asked).plan.entries[0].criterion == "l1"


def test_the_best_criterion_within_a_drop_leaves_the_smallest_model() -> None:
    drops = [step / 100 for step in range(9)]
    curves = table(
        {("l1", name): drops for name in UNITS}
        | {("fpgm", name): [drop / 2 for drop in drops] for name in UNITS}
    )
    request = Request(
        plan=lock(set_ratio(start(), "b", 0.5), "b"),
        meter=METER,
        points=curves,
        budgets=(Budget("drop", 0.1),),
        criteria="best",
        prepared=lambda plan, ratio: ranked_by_hand(plan, ratio, 0),
    )
    found = allocation.allocate("global", request).plan
    assert [entry.criterion for entry in found.entries] == ["fpgm", "l1", "fpgm"]
    fixed = allocation.allocate("global", dataclasses.replace(request, criteria="fixed")).plan
    assert METER.sizes(found) < METER.sizes(fixed)


def test_criteria_that_cannot_score_an_entry_are_left_out() -> None:
    curves = table({(name, "a"): [0.1] * 9 for name in ("l1", "fpgm")})

    def rank(plan: Plan, ratio: float) -> Plan:
        if plan.entries[0].criterion in refused:
            raise UnsupportedError("no ReLU")
        return ranked_by_hand(plan, ratio, 0)

    request = Request(
        plan=start(), meter=METER, points=curves, ratio=0.5, criteria="best", prepared=rank
    )
    refused = {"l1"}
    assert allocation.allocate("global", request).plan.entries[0].criterion == "fpgm"
    refused.add("fpgm")
    with pytest.raises(UnsupportedError, match="no ReLU"):
        allocation.allocate("global", request)


@pytest.mark.parametrize("name", BY_BUDGET)
def test_a_plan_tells_what_it_was_asked_for(name: str) -> None:
    request = Request(
        plan=dataclasses.replace(start(), recipe=Recipe(normalizer="lamp", rounds=3)),
        meter=METER,
        points=points(0),
        budgets=(Budget("params", 2 / 3),),
        criteria="best",
        cautious=True,
        prepared=lambda plan, ratio: ranked_by_hand(plan, ratio, 0),
    )
    found = allocation.allocate(name, request).plan
    assert found.recipe == Recipe(criteria="best", budgets=(f"params={2 / 3}",), cautious=True)
    assert parse_budget(found.recipe.budgets[0]) == Budget("params", 2 / 3)


SAMPLED = table(
    {
        (criterion, layer): [0.001 * place * step for place in range(9)]
        for criterion, step in (("l1", 2), ("taylor", 1), ("fpgm", 3))
        for layer in ("conv1", "conv2", "fc1", "fc2")
    }
)


@pytest.mark.parametrize(
    ("strategy_name", "recipe"),
    [
        ("global", Recipe(criteria="best", ratio=0.3)),
        ("global", Recipe(ratio=0.3, normalizer="l2", rounds=2)),
        ("global", Recipe(budgets=("params=0.4",), normalizer="sum", round_to=4)),
        ("uniform", Recipe(budgets=("macs=0.6",), round_to=2, rounds=3)),
        ("threshold", Recipe(tolerance=0.004, criteria="best", cautious=True)),
        ("threshold", Recipe(budgets=("drop=0.0",), criteria="best")),
    ],
)
def test_a_plan_is_repeated_from_its_own_record(strategy_name: str, recipe: Recipe) -> None:
    """The normalizer was overwritten, so a global plan could not be repeated."""
    prepared = sample_context("lenet5")
    first = start_plan(prepared, criterion="taylor")
    locked = lock(set_ratio(first, "conv1", 0.5), "conv1")

    def filled(plan: Plan, name: str, asked: Recipe) -> Plan:
        found = allocation.fill_plan(prepared, plan, name, asked, points=SAMPLED)
        return resolve(prepared, found.plan)

    plan = filled(locked, strategy_name, recipe)
    back = from_json(to_json(plan))
    assert back == plan
    assert back.recipe is not None
    assert filled(clear(back), back.strategy, back.recipe) == plan
    if strategy_name == "global":
        assert back.recipe.normalizer == (recipe.normalizer or "none")
        other = dataclasses.replace(back.recipe, normalizer="max", ratio=0.3, budgets=())
        assert filled(clear(back), "global", other).entries != plan.entries


def test_rounds_say_which_groups_stay_whole() -> None:
    """Between rounds nothing goes where a norm mixes; only a comment said so."""
    recipe = Recipe(ratio=0.3, rounds=2)
    lenet = sample_context("lenet5")
    found = allocation.fill_plan(lenet, start_plan(lenet, criterion="l1"), "uniform", recipe)
    assert found.message == ""
    vit = sample_context("vit_tiny")
    first = start_plan(vit, criterion="l1")
    mixed = [entry.layer for entry in first.entries if not vit.group(str(entry.group)).exact]
    assert mixed
    found = allocation.fill_plan(vit, first, "uniform", recipe)
    assert f"a norm mixes the channels of the group(s) of {', '.join(mixed)}" in found.message
    weights = dataclasses.replace(first, semantics="weights")
    assert kept_whole(vit, set_ratio(weights, mixed[0], 0.5)) == ()


def in_twos(plan: Plan) -> Plan:
    """Round the kept counts of unlocked entries up to even numbers."""
    entries = (
        entry if entry.locked else dataclasses.replace(entry, kept=entry.kept + entry.kept % 2)
        for entry in plan.entries
    )
    return dataclasses.replace(plan, entries=tuple(entries))


@pytest.mark.parametrize("name", BY_BUDGET)
@pytest.mark.parametrize(
    "budget", [Budget("macs", 0.5), Budget("params", 0.7), Budget("drop", 0.1)]
)
@pytest.mark.parametrize("seed", range(3))
def test_a_budget_holds_after_rounding(name: str, budget: Budget, seed: int) -> None:
    plain = Request(
        plan=lock(set_ratio(start(), "b", 0.5), "b"),
        meter=METER,
        points=points(seed),
        budgets=(budget,),
        prepared=seed,
    )
    found = allocation.allocate(name, dataclasses.replace(plain, finish=in_twos))
    assert [entry.kept % 2 for entry in found.plan.entries] == [0, 1, 0]
    assert found.feasible
    assert found.spent[budget.kind] <= budget.limit + 1e-9
    # The search goes no further than it must: a plan that was rounded afterwards costs no less,
    # unless the strategy reads curves at the rounded counts.
    if budget.kind != "drop" and name in ("threshold", "uniform", "global"):
        afterwards = in_twos(allocation.allocate(name, plain).plan)
        assert found.spent[budget.kind] <= METER.share(afterwards, budget.kind) + 1e-9


@pytest.mark.parametrize("name", BY_BUDGET)
@pytest.mark.parametrize("seed", range(3))
def test_every_strategy_keeps_budgets_and_locks(name: str, seed: int) -> None:
    plan = lock(set_ratio(start(), "b", 0.3), "b")
    for kind, limit in itertools.product(("macs", "params"), (0.8, 0.5)):
        request = Request(
            plan=plan,
            meter=METER,
            points=points(seed),
            budgets=(Budget(kind, limit),),
            most=0.9,
            prepared=seed,
        )
        found = allocation.allocate(name, request)
        assert find(found.plan, "b") == find(plan, "b")
        assert len(found.plan.entries) == len(plan.entries)
        assert found.feasible == (METER.share(found.plan, kind) <= limit + 1e-9)
        assert all((entry.total - entry.kept) / entry.total <= 0.95 for entry in found.plan.entries)
