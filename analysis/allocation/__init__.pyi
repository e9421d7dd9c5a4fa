from .constraints import Constraints, check_min_kept, equal_entries
from .exact import fill_exactly
from .filling import fill_plan, measured_time, request_of, with_ratios
from .goals import (
    GOALS,
    Budget,
    Goal,
    asked_drop,
    budget_forms,
    budgets,
    parse_budget,
    parse_budgets,
    with_drop,
)
from .greedy import fill_greedily
from .options import OF_PLAN, OF_RUN, PLAN_OPTIONS, PlanOption, recipe_of
from .registry import STRATEGIES, allocate
from .scored import fill_by_outliers, fill_by_rank, global_plan
from .strategy import BEST, FIXED, Allocation, Predict, Request, Strategy
from .threshold import fill_to_threshold
from .ties import NEAR, room, sizes_of
from .uniform import fill_uniformly

__all__ = [
    "Allocation",
    "BEST",
    "Budget",
    "Constraints",
    "FIXED",
    "GOALS",
    "Goal",
    "NEAR",
    "OF_PLAN",
    "OF_RUN",
    "PLAN_OPTIONS",
    "PlanOption",
    "Predict",
    "Request",
    "STRATEGIES",
    "Strategy",
    "allocate",
    "asked_drop",
    "budget_forms",
    "budgets",
    "check_min_kept",
    "equal_entries",
    "fill_by_outliers",
    "fill_by_rank",
    "fill_exactly",
    "fill_greedily",
    "fill_plan",
    "fill_to_threshold",
    "fill_uniformly",
    "global_plan",
    "measured_time",
    "parse_budget",
    "parse_budgets",
    "recipe_of",
    "request_of",
    "room",
    "sizes_of",
    "with_drop",
    "with_ratios",
]
