"""Criteria: importing this package registers all of them."""

from pruners.criteria import activation, first_order, magnitude, registry, second_order
from pruners.criteria.coupled import REDUCTION_HELP, REDUCTIONS, group_scores, producer_scores
from pruners.criteria.registry import DATA_FREE, Criterion, Level, criterion, get, names, scores
from pruners.criteria.second_order import FISHER_DAMP, damped_hessian
from pruners.criteria.user_file import load_criterion_file
from pruners.statistics import LayerData

__all__ = [
    "Criterion",
    "DATA_FREE",
    "FISHER_DAMP",
    "LayerData",
    "Level",
    "REDUCTIONS",
    "REDUCTION_HELP",
    "activation",
    "criterion",
    "damped_hessian",
    "first_order",
    "get",
    "group_scores",
    "load_criterion_file",
    "magnitude",
    "names",
    "producer_scores",
    "registry",
    "scores",
    "second_order",
]
