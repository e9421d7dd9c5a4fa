"""Criteria: importing this package registers all of them."""

from pruners.criteria import activation, depth, first_order, magnitude, registry, second_order
from pruners.criteria.coupled import group_scores, producer_scores
from pruners.criteria.depth import depth_score
from pruners.criteria.registry import (
    CRITERIA,
    DATA_FREE,
    Criterion,
    Level,
    criterion,
    label_of,
    scores,
    scoring,
)
from pruners.criteria.second_order import FISHER_DAMP, damped_hessian
from pruners.criteria.user_file import load_criterion_file
from pruners.statistics import LayerData

__all__ = [
    "CRITERIA",
    "Criterion",
    "DATA_FREE",
    "FISHER_DAMP",
    "LayerData",
    "Level",
    "activation",
    "criterion",
    "damped_hessian",
    "depth",
    "depth_score",
    "first_order",
    "group_scores",
    "label_of",
    "load_criterion_file",
    "magnitude",
    "producer_scores",
    "registry",
    "scores",
    "scoring",
    "second_order",
]
