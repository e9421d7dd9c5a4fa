"""The registry of strategies that fill a plan: one decorated pure function each.

Command-line choices, page options and the conformance tests are generated from the entries. A new
strategy is one function in one file and one import in `analysis.allocation`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from analysis.allocation.budget import Budget
from analysis.plans import Meter
from analysis.records import Plan, Recipe
from pruners.errors import InputError, UnknownNameError

FIXED, BEST = "fixed", "best"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a strategy is asked for.

    Attributes:
        plan: Lists an entry for each prunable target; locked entries stay as they are.
        points: The points table of the run; None where nothing was measured.
        meter: Measures what a plan costs.
        budget: What the plan may cost at most.
        ratio: One ratio for all.
        tolerance: Largest accepted drop of each layer alone, as a fraction.
        criteria: ``fixed`` keeps each entry's criterion, ``best`` chooses one per layer.
        cautious: Read curves at the upper end of their intervals.
        most: Largest ratio that is given to any entry.
        rank: Fills a plan by global ranking at a ratio
            (`analysis.allocation.global_ranking.global_plan`).
        finish: Applied to every plan that a strategy tries, before its cost is asked for: rounding
            of kept counts, so that a budget holds after it. It must not reverse an order: what
            removes more before it removes no less after it.
    """

    plan: Plan
    meter: Meter
    points: pd.DataFrame | None = None
    budget: Budget | None = None
    ratio: float | None = None
    tolerance: float | None = None
    criteria: str = FIXED
    cautious: bool = False
    most: float = 1.0
    rank: Callable[[Plan, float], Plan] | None = None
    finish: Callable[[Plan], Plan] = lambda plan: plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """A filled plan and how it came out.

    Attributes:
        plan: The plan; where the budget cannot be met, the nearest one.
        feasible: Whether the budget is met.
        spent: What the plan costs in the budget's unit, as a fraction of dense (drops: the drop).
        level: The ratio or tolerance that was chosen.
        message: One line for a person.
        blocking: Locked entries that stand in the way of the budget.
        unmeasured: Layers without a curve; they stay as they were.
    """

    plan: Plan
    feasible: bool = True
    spent: float | None = None
    level: float | None = None
    message: str = ""
    blocking: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Strategy:
    """A registered strategy.

    Attributes:
        name: Short name, used in commands and files.
        label: Name for people.
        help: What it does, one sentence.
        needs: Which requests it needs: ``points`` and one of ``ratio``, ``tolerance``, ``budget``.
        fn: The function.
    """

    name: str
    label: str
    help: str
    needs: frozenset[str]
    fn: Callable[[Request], Allocation]


_STRATEGIES: dict[str, Strategy] = {}


def strategy(
    name: str, *, label: str, help: str, needs: frozenset[str]
) -> Callable[[Callable[[Request], Allocation]], Callable[[Request], Allocation]]:
    """Register a function as a strategy; see `Strategy` for the arguments.

    Raises:
        ValueError: The name is taken.
    """

    def register(fn: Callable[[Request], Allocation]) -> Callable[[Request], Allocation]:
        if name in _STRATEGIES:
            raise ValueError(f"two strategies are called {name!r}")
        _STRATEGIES[name] = Strategy(name, label, help, needs, fn)
        return fn

    return register


def names() -> tuple[str, ...]:
    """Return the names of all strategies."""
    return tuple(_STRATEGIES)


def get(name: str) -> Strategy:
    """Return a strategy.

    Raises:
        UnknownNameError: No such strategy.
    """
    if name not in _STRATEGIES:
        raise UnknownNameError("strategy", name, _STRATEGIES)
    return _STRATEGIES[name]


def allocate(name: str, request: Request) -> Allocation:
    """Fill a plan by a strategy; the plan tells by which one and what it was asked for.

    Raises:
        UnknownNameError: No such strategy.
        InputError: The request lacks what the strategy needs, or asks for two things at once.
    """
    chosen = get(name)
    if "points" in chosen.needs and (request.points is None or request.points.empty):
        raise InputError(f"strategy {name} reads measured curves: run a sweep first")
    levels = sorted(chosen.needs - {"points"})
    given = [level for level in levels if getattr(request, level) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise InputError(f"strategy {name} needs exactly one of {', '.join(levels)}; found {found}")
    if request.criteria not in (FIXED, BEST):
        raise UnknownNameError("choice of criteria", request.criteria, (FIXED, BEST))
    # What an earlier strategy was asked for does not stay beside what this one is.
    blank = dataclasses.replace(request.plan, recipe=None)
    allocation = chosen.fn(dataclasses.replace(request, plan=blank))
    recipe = dataclasses.replace(
        allocation.plan.recipe or Recipe(),
        criteria=request.criteria,
        ratio=request.ratio,
        tolerance=request.tolerance,
        budget=None if request.budget is None else str(request.budget),
        cautious=request.cautious,
    )
    plan = dataclasses.replace(allocation.plan, recipe=recipe)
    return dataclasses.replace(allocation, plan=plan)
