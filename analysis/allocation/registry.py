"""The registry of strategies.

Names and help are known without torch and pandas: functions are looked up when they fill.
"""

from __future__ import annotations

import dataclasses
import math

from analysis import allocation
from analysis.allocation.strategy import BEST, FIXED, Allocation, Request, Strategy
from analysis.records import Recipe
from analysis.sentences import percent
from analysis.tasks import scoring_of
from pruners.errors import InputError, UnknownNameError
from pruners.registry import Registry

STRATEGIES = Registry(
    "strategy",
    (
        Strategy(
            "threshold",
            "Threshold",
            "Each layer as far as its own curve stays within one tolerance, or with a budget "
            "within the smallest tolerance that meets it.",
            needs=frozenset({"points", "tolerance", "budgets"}),
            fn=lambda request: allocation.fill_to_threshold(request),
        ),
        Strategy(
            "greedy",
            "Equal score",
            "AIMET's: all layers at one level of accuracy, the highest that meets the budgets; "
            "reads curves as they were measured, or a rising fit.",
            needs=frozenset({"points", "budgets"}),
            fn=lambda request: allocation.fill_greedily(request),
        ),
        Strategy(
            "dp",
            "Least sum",
            "The plan whose layers' drops (or losses) add up to the least within the budgets: "
            "exact, with sizes counted for neighbours together.",
            needs=frozenset({"points", "budgets"}),
            fn=lambda request: allocation.fill_exactly(request),
        ),
        Strategy(
            "uniform",
            "Uniform",
            "One ratio for every layer that is not locked, also without a sweep.",
            needs=frozenset({"ratio", "budgets"}),
            fn=lambda request: allocation.fill_uniformly(request),
        ),
        Strategy(
            "owl",
            "Outliers",
            "OWL's: one ratio, less in blocks with many weights on loud inputs and more in others; "
            "needs a ratio, and no sweep.",
            needs=frozenset({"ratio"}),
            fn=lambda request: allocation.fill_by_outliers(request),
        ),
        Strategy(
            "global",
            "Global ranking",
            "The least important channels of all layers go, by one criterion, also without a "
            "sweep.",
            needs=frozenset({"ratio", "budgets"}),
            fn=lambda request: allocation.fill_by_rank(request),
        ),
        Strategy(
            "search",
            "Search",
            "Plans measured after their repair, on samples that are not evaluated: from the best "
            "of the other strategies by trades between layers.",
            needs=frozenset({"budgets"}),
            fn=None,
        ),
    ),
)

# Fields of a request that say how far a strategy goes.
LEVELS = ("budgets", "ratio", "tolerance")


def allocate(name: str, request: Request) -> Allocation:
    """Fill a plan by a strategy; the plan tells by which one and what it was asked for.

    Raises:
        UnknownNameError: No such strategy.
        InputError: The request lacks what the strategy needs, asks for two things at once, or
            accepts a drop that is none.
    """
    chosen = STRATEGIES.get(name)
    if chosen.fn is None:
        raise InputError(f"strategy {name} measures plans: see `analysis.search.iter_search`")
    if "points" in chosen.needs and (request.points is None or request.points.empty):
        raise InputError(f"strategy {name} reads measured curves: run a sweep first")
    levels = sorted(chosen.needs - {"points"})
    given = [level for level in LEVELS if getattr(request, level) not in (None, ())]
    if len(given) != 1 or given[0] not in levels:
        found = " and ".join(given) or "none"
        raise InputError(f"strategy {name} needs exactly one of {', '.join(levels)}; found {found}")
    if request.tolerance is not None and not 0 <= request.tolerance < math.inf:
        raise InputError(f"a tolerance is an accepted drop, 0 or more; found {request.tolerance:g}")
    if request.criteria not in (FIXED, BEST):
        raise UnknownNameError("choice of criteria", request.criteria, (FIXED, BEST))
    # What an earlier strategy was asked for does not stay beside what this one is.
    blank = dataclasses.replace(request.plan, recipe=None)
    filled = chosen.fn(dataclasses.replace(request, plan=blank))
    recipe = dataclasses.replace(
        filled.plan.recipe or Recipe(),
        criteria=request.criteria,
        ratio=request.ratio,
        tolerance=request.tolerance,
        budgets=tuple(map(str, request.budgets)),
        cautious=request.cautious,
        cost=request.cost,
        monotone=request.monotone,
    )
    return dataclasses.replace(
        filled,
        plan=dataclasses.replace(filled.plan, recipe=recipe),
        message="; ".join(filter(None, (filled.message, _unused(request, filled)))),
    )


def _unused(request: Request, filled: Allocation) -> str:
    """Say where budgets of sizes leave more room than a plan could use."""
    timed = any(budget.kind == "latency" for budget in request.budgets)
    if not filled.feasible or timed or not allocation.sizes_of(request).budgets:
        return ""
    if allocation.room(request, filled.plan) <= allocation.NEAR:
        return ""
    words = scoring_of(request.plan.subject.task).words
    left = ", ".join(
        f"{percent(filled.spent[budget.kind], digits=1)} for {budget.text(words)}"
        for budget in request.budgets
        if not budget.is_drop
    )
    return f"it leaves {left}: no milder plan of this strategy is within the budget"
