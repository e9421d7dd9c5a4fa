"""One tolerance for all layers: by tolerance, to a budget, to a predicted drop."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial

import pandas as pd
import pytest

from analysis import allocation
from analysis.allocation import Budget, Request
from analysis.plans.editing import set_kept, set_ratio
from analysis.plans.entries import kept_counts
from analysis.plans.prediction import Prediction, predict
from analysis.records.plan import Plan
from analysis.sentences import percent
from tests.analysis.allocation.chain import (
    METER,
    UNITS,
    assert_nearest,
    chain_sizes,
    points,
    start,
)
from tests.analysis.points_tables import table


def leaves(share: float, asked: float) -> str:
    return f"leaves {percent(share, digits=1)} for at most {percent(asked, digits=1)} of the MACs"


def reference_threshold(
    plan: Plan, curves: pd.DataFrame, *, tolerance: float, best: bool, column: str
) -> dict[str, int]:
    """Walk every curve by hand: stop before the first running maximum beyond the tolerance."""
    result = {}
    for entry in plan.entries:
        options = []
        for criterion in ("l1", "fpgm"):
            if not best and criterion != entry.criterion:
                continue
            own = curves[(curves["layer"] == entry.layer) & (curves["criterion"] == criterion)]
            kept, highest = entry.total, 0.0
            for row in own.sort_values("ratio_achieved", kind="stable").to_dict("records"):
                highest = max(highest, row[column])
                if highest > tolerance + 1e-9:
                    break
                kept = row["kept"]
            options.append(kept)
        kept = entry.kept if entry.locked else min(options)
        if kept < entry.total:
            result[entry.layer] = kept
    return result


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("criteria", ["fixed", "best"])
@pytest.mark.parametrize("cautious", [False, True])
def test_threshold_by_tolerance(seed: int, criteria: str, cautious: bool) -> None:
    curves = points(seed)
    found = allocation.allocate(
        "threshold",
        Request(
            plan=start(),
            meter=METER,
            points=curves,
            tolerance=0.02,
            criteria=criteria,
            cautious=cautious,
        ),
    )
    assert kept_counts(found.plan) == reference_threshold(
        start(),
        curves,
        tolerance=0.02,
        best=criteria == "best",
        column="drop_high" if cautious else "accuracy_drop",
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("criteria", ["fixed", "best"])
@pytest.mark.parametrize("kind", ["macs", "params"])
def test_threshold_to_a_budget_takes_the_smallest_tolerance(
    seed: int, criteria: str, kind: str
) -> None:
    curves = points(seed)
    budget = Budget(kind, 0.45)
    request = Request(
        plan=start(), meter=METER, points=curves, budgets=(budget,), criteria=criteria
    )
    found = allocation.allocate("threshold", request)
    before: dict[str, int] = {}
    for tolerance in sorted({0.0, *(max(drop, 0.0) for drop in curves["accuracy_drop"])}):
        plan = reference_threshold(
            start(), curves, tolerance=tolerance, best=criteria == "best", column="accuracy_drop"
        )
        if share_of(plan, kind) <= budget.limit:
            break
        before = plan
    assert found.feasible
    assert found.level == pytest.approx(tolerance)
    assert_nearest(
        kept_counts(found.plan),
        mild=before,
        strong=plan,
        steps=measured_counts(curves),
        holds=lambda kept: share_of(kept, kind) <= budget.limit,
    )


def share_of(kept: Mapping[str, int], kind: str) -> float:
    place = 1 if kind == "macs" else 0
    return chain_sizes(kept)[place] / chain_sizes({})[place]


def measured_counts(curves: pd.DataFrame) -> dict[str, list[int]]:
    return {str(layer): rows.tolist() for layer, rows in curves.groupby("layer")["kept"]}


def test_of_layers_that_tie_as_many_are_taken_as_the_budget_needs() -> None:
    """Where layers tie, .95 and .85 gave one plan, at .823, and no word."""
    tied = {"a": [0.01] * 4 + [0.05] * 5, "b": [0.05] * 9, "c": [0.01] * 4 + [0.05] * 5}
    curves = pd.concat(
        [table({("l1", name): drops}, total=UNITS[name]) for name, drops in tied.items()]
    )
    request = Request(plan=start(), meter=METER, points=curves)
    found, said = {}, {}
    for name in ("threshold", "greedy", "uniform"):
        for limit in (0.97, 0.95, 0.7):
            asked = dataclasses.replace(request, budgets=(Budget("macs", limit),))
            filled = allocation.allocate(name, asked)
            found[name, limit] = kept_counts(filled.plan)
            said[name, limit] = filled.message
    # Of a one or two units, of c up to four; greedy takes whole steps of layers.
    assert found["threshold", 0.97] == {"c": 8}
    assert found["threshold", 0.95] == {"c": 7}
    assert found["threshold", 0.7] == {"a": 2}
    assert found["greedy", 0.97] == found["greedy", 0.95] == {"c": 6}
    assert "no milder" not in said["threshold", 0.95]
    assert leaves(0.586, 0.700) in said["threshold", 0.7]
    assert leaves(0.931, 0.970) in said["greedy", 0.97]
    assert leaves(0.911, 0.950) in said["uniform", 0.95]
    # From the other side: what ties is added while the drop holds.
    asked = dataclasses.replace(request, budgets=(Budget("drop", 0.01),))
    assert kept_counts(allocation.allocate("threshold", asked).plan) == {"a": 3}


@pytest.mark.parametrize("kind", ["macs", "params"])
@pytest.mark.parametrize("round_to", [1, 2])
def test_threshold_undoes_what_a_budget_does_not_need(kind: str, round_to: int) -> None:
    """0.95, 0.85 and 0.7 gave one plan, at .642 of the MACs."""
    curves = pd.concat(
        [
            table({("l1", name): [0.0] * 9}, total=total, half_width=width)
            for (name, total), width in zip(UNITS.items(), (0.001, 0.02, 0.002), strict=True)
        ]
    )
    finish = partial(in_multiples, multiple=round_to)
    request = Request(plan=start(), meter=METER, points=curves, finish=finish)
    dense, steepest = chain_sizes({})[kind == "macs"], dict[str, int]()
    for limit in (0.4, 0.6, 0.8, 0.95, 1.0):
        found = allocation.allocate(
            "threshold", dataclasses.replace(request, budgets=(Budget(kind, limit),))
        )
        kept = UNITS | kept_counts(found.plan)
        assert found.feasible
        assert found.level == 0
        assert found.spent[kind] == pytest.approx(chain_sizes(kept)[kind == "macs"] / dense)
        assert found.spent[kind] <= limit
        # Two units of a at once are 0.4 of the whole.
        assert limit == 1 or found.spent[kind] > limit - (0.25 if round_to == 1 else 0.4)
        assert all(kept[name] >= count for name, count in steepest.items())
        steepest = kept
    assert steepest == UNITS


def in_multiples(plan: Plan, *, multiple: int) -> Plan:
    for entry in plan.entries:
        kept = min(-(-entry.kept // multiple) * multiple, entry.total)
        plan = set_kept(plan, entry.name, kept) if kept != entry.kept else plan
    return plan


def test_threshold_undoes_first_where_the_drop_may_be_large() -> None:
    """Layer b's curve is the least certain for what it saves."""
    curves = pd.concat(
        [
            table({("l1", name): [0.0] * 9}, total=UNITS[name], half_width=width)
            for name, width in (("a", 1e-4), ("b", 0.05), ("c", 1e-4))
        ]
    )
    # With b dense, and 1 unit of a and of c: 312 of 1392 MACs.
    request = Request(plan=start(), meter=METER, points=curves, budgets=(Budget("macs", 0.23),))
    assert kept_counts(allocation.allocate("threshold", request).plan) == {"a": 1, "c": 1}


@pytest.mark.parametrize("seed", range(4))
def test_threshold_to_a_predicted_drop_goes_as_far_as_it_may(seed: int) -> None:
    curves = points(seed)
    request = Request(plan=start(), meter=METER, points=curves, budgets=(Budget("drop", 0.06),))
    found = allocation.allocate("threshold", request)

    def within(plan: Plan) -> bool:
        return predict(plan, curves).drop <= 0.06 + 1e-9

    reached, beyond = {}, {}
    for tolerance in sorted({0.0, *(round(drop, 9) for drop in curves["accuracy_drop"])}):
        plan = allocation.allocate(
            "threshold", dataclasses.replace(request, budgets=(), tolerance=tolerance)
        ).plan
        beyond = kept_counts(plan)
        if not within(plan):
            break
        reached = beyond
    assert_nearest(
        kept_counts(found.plan),
        mild=reached,
        strong=beyond,
        steps=measured_counts(curves),
        holds=lambda kept: within(with_counts(found.plan, kept)),
        is_up=False,
    )
    assert found.spent["drop"] <= 0.06 + 1e-9


@pytest.mark.parametrize(("limit", "gone"), [(0.05, 5), (0.011, 1), (0.005, 0)])
def test_a_predicted_drop_below_that_of_tolerance_0_is_met(limit: float, gone: int) -> None:
    """What no layer alone loses, all lose together; it was called out of reach."""
    curves = table({("l1", name): [0.0] * 9 for name in UNITS})

    def predicted(plan: Plan) -> Prediction:
        removed = sum(entry.total - entry.kept for entry in plan.entries)
        return Prediction(removed / 100, removed / 100, removed / 100)

    request = Request(
        plan=start(),
        meter=METER,
        points=curves,
        budgets=(Budget("drop", limit),),
        predict=predicted,
    )
    found = allocation.allocate("threshold", request)
    assert found.feasible
    assert sum(entry.total - entry.kept for entry in found.plan.entries) == gone


def with_counts(plan: Plan, kept: Mapping[str, int]) -> Plan:
    for name, count in kept.items():
        plan = set_kept(plan, name, count)
    return plan


def test_threshold_leaves_layers_without_curves_and_says_so() -> None:
    curves = table({("l1", "a"): [0.0] * 9}, total=4)
    plan = set_ratio(start(), "b", 0.5)
    request = Request(plan=plan, meter=METER, points=curves, tolerance=0.01)
    found = allocation.allocate("threshold", request)
    assert found.unmeasured == ("b", "c")
    assert kept_counts(found.plan) == {"a": 1, "b": 3}


def test_a_failed_point_stops_the_strategy() -> None:
    curves = table({("l1", "c"): [0.0, float("nan"), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]})
    request = Request(plan=start(), meter=METER, points=curves, tolerance=0.01)
    assert kept_counts(allocation.allocate("threshold", request).plan) == {"c": 9}
