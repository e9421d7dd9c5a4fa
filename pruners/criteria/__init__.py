"""Criteria: importing this package registers all of them."""

from pruners.criteria import activation, first_order, magnitude, second_order
from pruners.criteria.registry import Criterion, LayerData, criterion, get, names, scores
from pruners.criteria.user_file import load_criterion_file

__all__ = [
    "Criterion",
    "LayerData",
    "activation",
    "criterion",
    "first_order",
    "get",
    "load_criterion_file",
    "magnitude",
    "names",
    "scores",
    "second_order",
]
