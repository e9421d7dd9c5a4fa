"""AIMET's greedy selection: all layers at one level of their scores.

Each layer walks its candidates from mild to strong and stops before the first one beyond the
level, so that layers which bear much give much. The level is searched by bisection. As in AIMET,
candidates are rounded first and their scores read between the measured ones; the cost of a plan is
counted for the model after removal. Instead of ending near the budget, the search ends at the
mildest level whose plan meets it: levels between two neighbouring scores give the same plan. Where
layers tie at that level and the budget needs some of them only, the others stay at the next milder
one (`analysis.allocation.ties`).

Curves are read as they were measured. A dip by chance then ends a walk early; a rising fit
(isotonic regression: the rising curve with the least squared error) evens it out. AIMET fits a
polynomial of degree 7, which also bends between the points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from analysis.allocation.bisection import to_budgets
from analysis.allocation.candidates import Candidate, Unit, filled, isotonic, readings, units
from analysis.allocation.strategy import Allocation, Request
from analysis.allocation.ties import Choice, Step, between, steps_of
from analysis.plans import find
from analysis.records import Plan

_SLACK = 1e-9


def fill_greedily(request: Request) -> Allocation:
    """Fill every unlocked entry at the mildest level of equal scores that meets the budgets."""
    by_layer = readings(request, lift=isotonic if request.monotone else np.asarray)
    free, missing = units(request, by_layer)
    known: dict[frozenset[str], list[Unit]] = {_locks(request.plan): free}

    def fill(asked: Request, level: float) -> Plan:
        locks = _locks(asked.plan)
        if locks not in known:
            known[locks] = units(asked, by_layer)[0]
        return filled(asked, (_stop(unit, level) for unit in known[locks]))

    levels = sorted({0.0, *(item.value for unit in free for item in unit.candidates)})
    found = to_budgets(request, levels=levels, fill=fill)
    found = between(request, found, levels=levels, fill=fill, steps=partial(_steps, request, free))
    plan = dataclasses.replace(found.plan, strategy="greedy")
    return dataclasses.replace(found, plan=plan, unmeasured=missing)


def _locks(plan: Plan) -> frozenset[str]:
    return frozenset(entry.name for entry in plan.entries if entry.locked)


def _stop(unit: Unit, level: float) -> Candidate:
    """Return the last candidate before the first one beyond the level, or the mildest."""
    chosen, *others = unit.candidates
    for candidate in others:
        if candidate.value > level + _SLACK:
            break
        chosen = candidate
    return chosen


def _steps(request: Request, free: list[Unit], mild: Plan, strong: Plan) -> Iterator[Step]:
    """Return the step of each layer that stops elsewhere at the next level.

    Within a layer AIMET's walk stops at one place.
    """
    for unit in free:
        kept = [{name: find(plan, name).kept for name in unit.names} for plan in (mild, strong)]
        if kept[0] != kept[1]:
            costs = [_cost(unit, choice) for choice in kept]
            yield from steps_of(request, strong, list(map(Choice, kept, costs)))


def _cost(unit: Unit, kept: Mapping[str, int]) -> float:
    return next((item.value for item in unit.candidates if item.kept == kept), 0.0)
