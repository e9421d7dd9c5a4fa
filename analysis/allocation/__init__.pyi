from .filling import fill_plan, with_ratios
from .goals import GOALS, Budget, Goal, budget_forms, budgets, parse_budget
from .options import PLAN_OPTIONS, PlanOption, recipe_of
from .ranked import fill_by_rank, global_plan
from .registry import STRATEGIES, allocate
from .strategy import BEST, FIXED, Allocation, Request, Strategy
from .threshold import fill_to_threshold
from .uniform import fill_uniformly

__all__ = [
    "Allocation",
    "BEST",
    "Budget",
    "FIXED",
    "GOALS",
    "Goal",
    "PLAN_OPTIONS",
    "PlanOption",
    "Request",
    "STRATEGIES",
    "Strategy",
    "allocate",
    "budget_forms",
    "budgets",
    "fill_by_rank",
    "fill_plan",
    "fill_to_threshold",
    "fill_uniformly",
    "global_plan",
    "parse_budget",
    "recipe_of",
    "with_ratios",
]
