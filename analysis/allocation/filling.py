"""A plan filled as a recipe says, for a loaded subject: what command line and Plan page share."""

from __future__ import annotations

import dataclasses

import pandas as pd

from analysis.allocation.constraints import Constraints, check_min_kept, equal_entries
from analysis.allocation.goals import parse_budgets
from analysis.allocation.registry import allocate
from analysis.allocation.strategy import Allocation, Request
from analysis.edits import PreparedSubject
from analysis.plans import Meter, kept_whole, meter, rescored_plan, resolve
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
    found = allocate(strategy, request_of(prepared, start, recipe, points=points, sizes=sizes))
    asked = dataclasses.replace(
        found.plan.recipe or Recipe(), min_kept=recipe.min_kept, equal=recipe.equal
    )
    found = dataclasses.replace(found, plan=dataclasses.replace(found.plan, recipe=asked))
    if recipe.rounds == 1 or not found.feasible:
        return found
    return _in_rounds(prepared, found, recipe.rounds)


def request_of(
    prepared: PreparedSubject,
    start: Plan,
    recipe: Recipe,
    *,
    points: pd.DataFrame | None = None,
    sizes: Meter | None = None,
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
    return Request(
        plan=start,
        points=points,
        meter=sizes or meter(prepared),
        budgets=parse_budgets(recipe.budgets),
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
