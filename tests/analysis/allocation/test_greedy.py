"""Peers' rules, written from their formulas, against the strategies."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import isotonic_regression

from analysis import allocation
from analysis.allocation import Budget, Constraints, Request
from analysis.allocation.candidates import isotonic
from analysis.plans.editing import lock, set_ratio
from analysis.plans.entries import find, kept_counts
from analysis.records.plan import Plan
from pruners.errors import InputError, UnknownNameError
from tests.analysis.allocation.chain import METER, UNITS, assert_nearest, chain_sizes, points, start

Scores = Mapping[str, Mapping[int, float]]


def scores_of(curves: pd.DataFrame, *, dense: float = 0.9) -> dict[str, dict[int, float]]:
    """Evaluation score by layer and kept count, of criterion l1; what removes nothing is none."""
    own = curves[(curves["criterion"] == "l1") & (curves["kept"] < curves["total"])]
    return {
        name: {row["kept"]: dense - row["accuracy_drop"] for row in rows.to_dict("records")}
        for name, rows in own.groupby("layer", sort=False)
    }


def aimet_at(scores: Scores, level: float) -> dict[str, int]:
    """AIMET: candidates from mild to strong; the one before the first whose score is below."""
    kept = {}
    for name, by_kept in scores.items():
        walk = sorted(by_kept, reverse=True)
        below = [place for place, count in enumerate(walk) if by_kept[count] < level]
        place = below[0] - 1 if below else len(walk) - 1
        if place >= 0:
            kept[name] = walk[place]
    return kept


def aimet(scores: Scores, ratio: float, *, kind: int) -> tuple[dict[str, int], dict[str, int]]:
    """AIMET's bisection on the score, to the end: its two last levels, that within budget first."""
    flat = [score for by_kept in scores.values() for score in by_kept.values()]
    low, high = min(flat), max(flat) + 1e-3
    dense = chain_sizes({})[kind]
    assert chain_sizes(aimet_at(scores, low))[kind] / dense <= ratio
    while high - low > 1e-9:
        middle = (low + high) / 2
        if chain_sizes(aimet_at(scores, middle))[kind] / dense <= ratio:
            low = middle
        else:
            high = middle
    return aimet_at(scores, low), aimet_at(scores, high)


def assert_aimets(kept: dict[str, int], scores: Scores, ratio: float, *, kind: int) -> None:
    """AIMET's level; of layers that tie there, none is taken that the budget does not need."""
    strong, mild = aimet(scores, ratio, kind=kind)
    assert_nearest(
        kept,
        mild=mild,
        strong=strong,
        steps=dict.fromkeys(UNITS, ()),
        holds=lambda kept: chain_sizes(kept)[kind] / chain_sizes({})[kind] <= ratio,
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("kind", "place"), [("macs", 1), ("params", 0)])
def test_greedy_is_aimets_selection(seed: int, kind: str, place: int) -> None:
    curves = points(seed)
    for limit in (0.9, 0.7, 0.5, 0.35):
        request = Request(plan=start(), meter=METER, points=curves, budgets=(Budget(kind, limit),))
        found = allocation.allocate("greedy", request)
        assert_aimets(kept_counts(found.plan), scores_of(curves), limit, kind=place)
        assert found.plan.strategy == "greedy"
        assert found.spent[kind] <= limit


@pytest.mark.parametrize("seed", range(3))
def test_greedy_rounds_candidates_and_reads_their_scores_between_points(seed: int) -> None:
    """AIMET: kept counts rounded up to a multiple, scores interpolated there."""
    curves, twos = points(seed), Constraints(min_kept=2)

    def even(plan: Plan) -> Plan:
        plan = twos.finish(plan)
        entries = (
            dataclasses.replace(item, kept=item.kept + item.kept % 2) for item in plan.entries
        )
        return dataclasses.replace(plan, entries=tuple(entries))

    rounded = {}
    for name, by_kept in scores_of(curves).items():
        known = {UNITS[name]: 0.9} | by_kept
        counts = sorted(known)
        wanted = {max(count + count % 2, 2) for count in by_kept}
        read = [known[count] for count in counts]
        rounded[name] = {count: float(np.interp(count, counts, read)) for count in wanted}
        rounded[name].pop(UNITS[name], None)
    request = Request(plan=start(), meter=METER, points=curves, budgets=(Budget("macs", 0.6),))
    found = allocation.allocate("greedy", dataclasses.replace(request, finish=even))
    assert_aimets(kept_counts(found.plan), rounded, 0.6, kind=1)


def test_a_rising_fit_looks_past_a_dip() -> None:
    """Raw, the dip of a at ratio 0.25 ends its walk."""
    curves = points(0)
    for name, drops in {"a": {4: 0.0, 3: 0.06}, "b": {6: 0.0, 1: 0.05}, "c": {10: 0.0}}.items():
        rows = curves["layer"].eq(name)
        other = 0.0 if name == "a" else 0.05
        curves.loc[rows, "accuracy_drop"] = [
            drops.get(kept, other) for kept in curves[rows]["kept"]
        ]
    request = Request(plan=start(), meter=METER, points=curves, budgets=(Budget("macs", 0.85),))
    raw = allocation.allocate("greedy", request).plan
    fitted = allocation.allocate("greedy", dataclasses.replace(request, monotone=True)).plan
    assert "a" not in kept_counts(raw)
    assert kept_counts(fitted) == {"a": 1}
    assert fitted.recipe is not None
    assert fitted.recipe.monotone


def test_the_rising_fit_is_isotonic_regression() -> None:
    source = np.random.default_rng(0)
    for size in (1, 2, 9, 40):
        values = source.normal(size=size) + np.arange(size) / 10
        assert isotonic(values) == pytest.approx(isotonic_regression(values).x)


def paddle_ratio(losses: Mapping[float, float], loss: float) -> float:
    """PaddleSlim's get_ratios_by_loss: from the highest ratio down, the first within the loss."""
    ratios = sorted(losses)
    for place in range(len(ratios) - 1, -1, -1):
        low = losses[ratios[place]]
        if low <= loss:
            if place == len(ratios) - 1:
                return ratios[place]
            high = losses[ratios[place + 1]]
            step = ratios[place + 1] - ratios[place]
            return ratios[place] + (loss - low) * step / (high - low)
    return 0.0


def paddle(losses: Mapping[str, Mapping[float, float]], flops: float) -> dict[str, int]:
    """PaddleSlim's get_ratios_by_sensitivity: bisection of the loss in [0, 1] down to the FLOPs."""

    def kept(loss: float) -> dict[str, int]:
        return {
            name: max(UNITS[name] - int(paddle_ratio(by_ratio, loss) * UNITS[name] + 1e-9), 1)
            for name, by_ratio in losses.items()
        }

    low, high, dense = 0.0, 1.0, chain_sizes({})[1]
    for _ in range(60):
        middle = (low + high) / 2
        reached = chain_sizes(kept(middle))[1] / dense <= flops
        low, high = (low, middle) if reached else (middle, high)
    return kept(high)


@pytest.mark.parametrize("limit", [0.8, 0.6, 0.4])
def test_threshold_and_greedy_agree_with_paddleslim_on_rising_curves(limit: float) -> None:
    """Where each unit is a point of its own, nothing is read between points, and curves rise."""
    source = np.random.default_rng(5)
    rows, losses = [], {}
    for name, total in UNITS.items():
        drops = np.cumsum(source.uniform(0.001, 0.05, total - 1))
        losses[name] = {step / total: float(drop) for step, drop in enumerate(drops, 1)}
        base = points(0).query(f"layer == '{name}' and criterion == 'l1'").iloc[:1]
        for step, drop in enumerate(drops, 1):
            rows.append(
                base.assign(
                    ratio_requested=step / total,
                    ratio_achieved=step / total,
                    kept=total - step,
                    accuracy_drop=drop,
                )
            )
    curves = pd.concat(rows, ignore_index=True)
    kept = paddle(losses, limit)
    request = Request(plan=start(), meter=METER, points=curves, budgets=(Budget("macs", limit),))
    for name in ("threshold", "greedy"):
        found = allocation.allocate(name, request)
        assert UNITS | kept_counts(found.plan) == kept


def nni_level(losses: Mapping[float, float], limit: float) -> float:
    """NNI's _max_prune_ratio without its fault: the last level before the threshold is broken.

    NNI returns the first level beyond it.
    """
    last = 0.0
    for ratio in sorted(losses):
        if losses[ratio] > limit:
            break
        last = ratio
    return last


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limit", [0.0, 0.01, 0.03, 0.2])
def test_threshold_by_tolerance_is_nnis_walk(seed: int, limit: float) -> None:
    curves = points(seed)
    own = curves[curves["criterion"] == "l1"]
    request = Request(plan=start(), meter=METER, points=curves, tolerance=limit)
    found = allocation.allocate("threshold", request).plan
    for name, rows in own.groupby("layer"):
        # Several ratios may round to one count; the last one measured there speaks.
        losses = dict(zip(rows["ratio_requested"], rows["accuracy_drop"], strict=True))
        ratio = nni_level(losses, limit)
        kept = dict(zip(rows["ratio_requested"], rows["kept"], strict=True))
        assert find(found, str(name)).kept == kept.get(ratio, UNITS[str(name)])


def nni_scaled(levels: Mapping[str, float], sparsity: float) -> dict[str, float]:
    """NNI's normalisation: sum(ratio * weights) is the round's share of all weights."""
    weights = dict(METER.weights)
    removed = sum(levels[name] * weights[name] for name in levels)
    return {
        name: min(level * sparsity * sum(weights.values()) / removed, 1.0)
        for name, level in levels.items()
    }


@pytest.mark.parametrize("sparsity", [0.2, 0.5])
def test_uniform_is_nnis_scaling_of_equal_levels(sparsity: float) -> None:
    """Single weights, where shares add up: equal levels stay equal, and the sum is the target."""
    ratios = nni_scaled(dict.fromkeys(UNITS, 0.3), sparsity)
    plan = start("element")
    budget = Budget("params", 1 - sparsity)
    found = allocation.allocate("uniform", Request(plan=plan, meter=METER, budgets=(budget,)))
    assert list(ratios.values()) == pytest.approx([sparsity] * 3)
    # Units of the plan are coarse here: a tenth at the coarsest entry is passed in one step.
    assert found.level == pytest.approx(sparsity, abs=0.13)
    assert found.spent["params"] <= 1 - sparsity


@pytest.mark.parametrize("name", ["greedy"])
def test_costs(name: str) -> None:
    request = Request(plan=start(), meter=METER, points=points(1), budgets=(Budget("macs", 0.6),))
    by_drop = allocation.allocate(name, request)
    by_loss = allocation.allocate(name, dataclasses.replace(request, cost="loss"))
    # In these tables the loss is twice the drop.
    assert kept_counts(by_loss.plan) == kept_counts(by_drop.plan)
    assert by_loss.level == pytest.approx(2 * (by_drop.level or 0))
    with pytest.raises(UnknownNameError, match="cost 'agreement'"):
        allocation.allocate(name, dataclasses.replace(request, cost="agreement"))
    with pytest.raises(InputError, match="kl has no interval"):
        allocation.allocate(name, dataclasses.replace(request, cost="kl", cautious=True))


def test_greedy_says_what_is_locked_and_what_has_no_curve() -> None:
    curves = points(2)
    curves = curves[curves["layer"] != "b"]
    plan = lock(set_ratio(start(), "c", 0.2), "c")
    request = Request(plan=plan, meter=METER, points=curves, budgets=(Budget("macs", 0.2),))
    found = allocation.allocate("greedy", request)
    assert found.unmeasured == ("b",)
    assert (found.feasible, kept_counts(found.plan)) == (False, {"a": 1, "c": 8})
    assert "out of reach" in found.message


def test_all_levels_of_all_criteria_are_tried() -> None:
    curves = points(3)
    best = itertools.product(("fixed", "best"), (False, True))
    for criteria, monotone in best:
        fill = partial(
            Request, plan=start(), meter=METER, points=curves, criteria=criteria, monotone=monotone
        )
        spent = [
            allocation.allocate("greedy", fill(budgets=(Budget("macs", limit),))).spent["macs"]
            for limit in (0.9, 0.6, 0.4, 0.3)
        ]
        assert spent == sorted(spent, reverse=True)
