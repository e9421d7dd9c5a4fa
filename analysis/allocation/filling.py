"""A plan filled as a recipe says, for a loaded subject: what command line and Plan page share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial

import pandas as pd

from analysis.allocation.constraints import Constraints, check_min_kept, equal_entries
from analysis.allocation.goals import Budget, parse_budgets
from analysis.allocation.registry import allocate
from analysis.allocation.strategy import BEST, Allocation, Predict, Request
from analysis.allocation.uniform import require_parts, with_best_criteria
from analysis.edits import PreparedSubject
from analysis.measuring import TORCH, Runtime, estimated, latency_table, measured_seconds
from analysis.plans import (
    Meter,
    Quantity,
    kept_whole,
    lock,
    meter,
    removed_model,
    rescored_plan,
    resolve,
    rounded,
    set_ratio,
)
from analysis.records import Plan, Recipe
from analysis.sentences import percent
from pruners.granularity import parse

_LATENCY = "latency"
# Rounds of estimating, filling and measuring; how near to the limit is near enough; and how far
# the limit of the estimate may be tightened.
_TIMED_ROUNDS, _NEAR, _LEAST = 4, 0.03, 0.01


def fill_plan(
    prepared: PreparedSubject,
    start: Plan,
    strategy: str,
    recipe: Recipe,
    *,
    points: pd.DataFrame | None = None,
    sizes: Meter | None = None,
    predict: Predict | None = None,
    runtime: Runtime = TORCH,
) -> Allocation:
    """Fill a plan by a strategy.

    ``fill_plan(prepared, clear(plan), plan.strategy, plan.recipe, points=points)`` fills a plan
    again.

    Args:
        prepared: The subject.
        start: Lists an entry for each prunable target; locked entries stay as they are.
        strategy: Registered name.
        recipe: What is asked for.
        points: The points table of a run; None where nothing was measured.
        sizes: Measures what plans cost; made where it is not given.
        predict: Predicts what plans lose, see `Request`.
        runtime: Runs the models whose time is measured for a budget in latency.

    Raises:
        UnknownNameError: No such strategy.
        InputError: The recipe lacks what the strategy needs, or contradicts itself.
        UnsupportedError: The criterion or rounds do not apply to an entry.
    """
    request = request_of(prepared, start, recipe, points=points, sizes=sizes, runtime=runtime)
    request = dataclasses.replace(request, predict=predict)
    found = _within_time(prepared, strategy, request, runtime)
    asked = dataclasses.replace(
        found.plan.recipe or Recipe(),
        budgets=tuple(map(str, request.budgets)),
        min_kept=recipe.min_kept,
        equal=recipe.equal,
        runtime=runtime.name,
    )
    found = dataclasses.replace(found, plan=dataclasses.replace(found.plan, recipe=asked))
    if recipe.rounds == 1 or not found.feasible:
        return found
    return _in_rounds(prepared, found, recipe.rounds)


def with_ratios(
    prepared: PreparedSubject,
    plan: Plan,
    ratios: Mapping[str, float],
    recipe: Recipe,
    *,
    points: pd.DataFrame | None = None,
) -> Plan:
    """Give entries ratios by name, and lock them: strategies choose the others.

    Args:
        prepared: The subject.
        plan: Lists an entry for each prunable target.
        ratios: Ratio, 0..1, by the entry's name.
        recipe: Says how kept counts are rounded, and who chooses criteria.
        points: The points table of a run, for criteria.
    """
    for name, ratio in ratios.items():
        plan = set_ratio(plan, name, ratio)
    if recipe.criteria == BEST:
        request = Request(plan=plan, points=points, meter=meter(prepared))
        plan = with_best_criteria(plan, request)
    plan = rounded(plan, prepared.structure, multiple=recipe.round_to)
    for name in ratios:
        plan = lock(plan, name)
    return plan


def request_of(
    prepared: PreparedSubject,
    start: Plan,
    recipe: Recipe,
    *,
    points: pd.DataFrame | None = None,
    sizes: Meter | None = None,
    runtime: Runtime = TORCH,
) -> Request:
    """Return what a strategy is asked for by a recipe; see `fill_plan`.

    Raises:
        InputError: The recipe is malformed.
    """
    check_min_kept(recipe.min_kept)
    constraints = Constraints(
        structure=prepared.structure,
        round_to=recipe.round_to,
        min_kept=recipe.min_kept,
        tied=equal_entries(prepared, start) if recipe.equal else (),
    )
    budgets, measure = parse_budgets(recipe.budgets), sizes or meter(prepared)
    for budget in budgets:
        budget.check(prepared.subject.task.words)
    if any(budget.kind == _LATENCY for budget in budgets):
        measure = _with_latency(prepared, start, measure, runtime)
    return Request(
        plan=start,
        points=points,
        meter=measure,
        budgets=budgets,
        ratio=recipe.ratio,
        tolerance=recipe.tolerance,
        criteria=recipe.criteria,
        cautious=recipe.cautious,
        cost=recipe.cost,
        monotone=recipe.monotone,
        prepared=prepared,
        normalizer=recipe.normalizer,
        finish=constraints.finish,
        tied=constraints.tied,
    )


def _with_latency(prepared: PreparedSubject, plan: Plan, sizes: Meter, runtime: Runtime) -> Meter:
    require_parts(plan, "a budget in latency")
    names = [entry.name for entry in plan.entries if parse(entry.granularity).is_structured]
    table = latency_table(prepared, names, runtime)
    quantity = Quantity(*estimated(table, prepared, runtime))
    return dataclasses.replace(sizes, quantities={**sizes.quantities, _LATENCY: quantity})


def _within_time(
    prepared: PreparedSubject, strategy: str, request: Request, runtime: Runtime
) -> Allocation:
    """Fill a plan; where time is limited, until the time that the model takes is within it.

    Each round measures the model and takes what was saved of the estimated saving for granted.
    """
    budget = next((item for item in request.budgets if item.kind == _LATENCY), None)
    if budget is None:
        return allocate(strategy, request)
    limit = asked = budget.share(lambda: request.meter.dense(_LATENCY))
    best: Allocation | None = None
    for _ in range(_TIMED_ROUNDS):
        budgets = tuple(
            Budget(_LATENCY, asked) if item is budget else item for item in request.budgets
        )
        found = allocate(strategy, dataclasses.replace(request, budgets=budgets))
        estimate = found.spent[_LATENCY]
        if not found.feasible and asked < limit and _others_hold(request, found):
            # Out of reach is what was tightened here; whether the limit is, the clock says.
            found = dataclasses.replace(found, feasible=True, message="")
        found = _timed(prepared, found, limit, runtime)
        share = found.spent[_LATENCY]
        if share <= limit and (best is None or share > best.spent[_LATENCY]):
            best = found
        is_near = limit - _NEAR <= share <= limit
        if is_near or (not found.feasible and share > limit and estimate > asked):
            break
        # A model that saves nothing says nothing of what more would save.
        asked = 1 - (1 - limit) * (1 - estimate) / max(1 - share, 0.1 * (1 - estimate), 1e-6)
        asked = min(max(asked, _LEAST), 1.0)
    return best or found


def _others_hold(request: Request, found: Allocation) -> bool:
    """Return whether a plan is within all budgets of sizes, the time aside."""
    return all(
        not item.is_drop
        and item.holds(found.spent[item.kind], partial(request.meter.dense, item.kind))
        for item in request.budgets
        if item.kind != _LATENCY
    )


def _timed(
    prepared: PreparedSubject, found: Allocation, limit: float, runtime: Runtime
) -> Allocation:
    """Measure a filled plan: what it spends is what was measured."""
    share, _, text = measured_time(prepared, found.plan, runtime)
    if found.feasible and share > limit:
        text = f"at most {percent(limit, digits=1)} of the time is out of reach; {text}"
    return dataclasses.replace(
        found,
        feasible=found.feasible and share <= limit,
        spent={**found.spent, _LATENCY: share},
        message="; ".join(filter(None, (found.message, text))),
    )


def measured_time(
    prepared: PreparedSubject, plan: Plan, runtime: Runtime
) -> tuple[float, float, str]:
    """Measure the time of a plan's model.

    Args:
        prepared: The subject.
        plan: Of its model.
        runtime: Runs the models.

    Returns:
        The share of the dense model's time, that time in seconds, and the same in words.
    """
    seconds, dense = measured_seconds(prepared, removed_model(prepared, plan), runtime)
    share = seconds / dense
    by = "" if runtime is TORCH else f" by {runtime.label}"
    return (
        share,
        dense,
        (
            f"measured{by}: {percent(share, digits=1)} of the time of the dense model "
            f"({seconds * 1000:.3g} of {dense * 1000:.3g} ms)"
        ),
    )


def _in_rounds(prepared: PreparedSubject, found: Allocation, rounds: int) -> Allocation:
    """Choose the units of a filled plan anew, and say where rounds change nothing."""
    plan = rescored_plan(prepared, resolve(prepared, found.plan), rounds=rounds)
    lines = [found.message] if found.message else []
    if whole := kept_whole(prepared, plan):
        lines.append(
            "a norm mixes the channels of the group(s) of "
            f"{', '.join(whole)}: they stay whole between rounds, so no round sees there what the "
            "rounds before it removed"
        )
    return dataclasses.replace(found, plan=plan, message="; ".join(lines))
