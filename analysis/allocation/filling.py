"""A plan filled as a recipe says, for a loaded subject: what command line and Plan page share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial

import pandas as pd

from analysis.allocation.goals import parse_budget
from analysis.allocation.registry import allocate
from analysis.allocation.strategy import BEST, Allocation, Request
from analysis.allocation.uniform import with_best_criteria
from analysis.edits import PreparedSubject
from analysis.plans import (
    Meter,
    kept_whole,
    lock,
    meter,
    rescored_plan,
    resolve,
    rounded,
    set_ratio,
)
from analysis.records import Plan, Recipe


def fill_plan(
    prepared: PreparedSubject,
    start: Plan,
    strategy: str,
    recipe: Recipe,
    *,
    points: pd.DataFrame | None = None,
    sizes: Meter | None = None,
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

    Raises:
        UnknownNameError: No such strategy.
        InputError: The recipe lacks what the strategy needs, or contradicts itself.
        UnsupportedError: The criterion or rounds do not apply to an entry.
    """
    found = allocate(
        strategy,
        Request(
            plan=start,
            points=points,
            meter=sizes or meter(prepared),
            budget=None if recipe.budget is None else parse_budget(recipe.budget),
            ratio=recipe.ratio,
            tolerance=recipe.tolerance,
            criteria=recipe.criteria,
            cautious=recipe.cautious,
            prepared=prepared,
            normalizer=recipe.normalizer,
            finish=partial(rounded, structure=prepared.structure, multiple=recipe.round_to),
        ),
    )
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
