"""Ratios by outliers: blocks with many weights on loud inputs keep more, as OWL does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch

from analysis.allocation.strategy import BEST, Allocation, Request
from analysis.allocation.uniform import require_parts, with_best_criteria
from analysis.edits import PreparedSubject
from analysis.plans import set_ratio
from analysis.records import Plan
from pruners.criteria import activation
from pruners.errors import InputError
from pruners.layers import block_of, flat_rows

# What is an outlier, in means of its block, and how far ratios may be from their mean: the
# authors' choice for LLaMA.
OUTLIER, SPREAD = 5.0, 0.08


def fill_by_outliers(request: Request) -> Allocation:
    """Give every block of layers a ratio by its share of outliers, around one for all.

    References:
        Yin et al.: Outlier Weighed Layerwise Sparsity (OWL). ICML 2024, arXiv:2310.05175, equations
        1 and 2, and the authors' scaling to the spread. Blocks count by their weights here, so that
        the whole has the ratio that is asked for; the authors' are of one size.

    Raises:
        InputError: No model is at hand, or there is no calibration data; or entries go as a whole.
    """
    require_parts(request.plan, "strategy owl")
    if request.prepared is None:
        raise InputError(
            "strategy owl needs the inputs of a loaded model's layers; none is at hand"
        )
    shift = _shifts(request.plan, outlier_ratios(request.prepared, request.plan))

    assert request.ratio is not None
    plan = request.plan
    for entry in plan.entries:
        if not entry.locked:
            own = request.ratio - shift[entry.layer] if request.ratio else 0.0
            plan = set_ratio(plan, entry.name, min(max(own, 0.0), request.most))
    plan = dataclasses.replace(request.finish(plan), strategy="owl")
    if request.criteria == BEST:
        plan = with_best_criteria(plan, request)
    return Allocation(plan=plan, level=request.ratio)


def outlier_ratios(prepared: PreparedSubject, plan: Plan) -> dict[str, float]:
    """Return the share of outliers of each block of a plan's layers, by the block's name.

    An outlier is a weight whose ``|w| * ||x||`` is above `OUTLIER` times the mean of its block.
    """
    products: dict[str, list[torch.Tensor]] = {}
    for layer in dict.fromkeys(entry.layer for entry in plan.entries if not entry.locked):
        data = prepared.layer_data(layer, "wanda")
        product = flat_rows(data.weight).abs() * activation.input_norm_rows(data)
        products.setdefault(block_of(layer), []).append(product.flatten())
    found = {}
    for block, parts in products.items():
        values = torch.cat(parts).double()
        found[block] = float((values > OUTLIER * values.mean()).double().mean())
    return found


def _shifts(plan: Plan, ratios: Mapping[str, float]) -> dict[str, float]:
    """Return by layer how far below the ratio of all its own is."""
    low, high = min(ratios.values(), default=0.0), max(ratios.values(), default=0.0)
    if high == low:
        return {entry.layer: 0.0 for entry in plan.entries}
    scaled = {block: (value - low) / (high - low) * 2 * SPREAD for block, value in ratios.items()}
    free = [entry for entry in plan.entries if not entry.locked]
    whole = sum(entry.total for entry in free)
    mean = sum(scaled[block_of(entry.layer)] * entry.total for entry in free) / whole
    return {entry.layer: scaled[block_of(entry.layer)] - mean for entry in free}
