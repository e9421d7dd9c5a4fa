"""Criteria that look at the weights alone: norms, distances, chance."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from pruners.criteria.registry import CHANNEL, CONV_AND_LINEAR, Level, criterion
from pruners.layers import flat_rows
from pruners.statistics import LayerData


def _wide(weight: Tensor) -> Tensor:
    return weight if weight.dtype == torch.float64 else weight.float()


@criterion(
    "l1",
    label="L1 norm",
    citation="Li, Kadav, Durdanovic, Samet, Graf: Pruning Filters for Efficient ConvNets. "
    "ICLR 2017, arXiv:1608.08710, section 3.1, s_j = sum |F_i,j|",
    formula="sum |w| over the filter; |w| per element",
    help="Small weights matter little. Needs no data, hard to beat at low ratios; the usual "
    "first choice.",
)
def l1(data: LayerData, *, level: Level) -> Tensor:
    """Score by absolute weight."""
    if level == "element":
        return _wide(data.weight).abs()
    return flat_rows(data.weight).abs().sum(1)


@criterion(
    "l2",
    label="L2 norm",
    citation="He, Kang, Dong, Fu, Yang: Soft Filter Pruning for Accelerating Deep CNNs. "
    "IJCAI 2018, arXiv:1808.06866, equation 2 with p = 2",
    formula="sqrt(sum w^2) over the filter; |w| per element",
    help="Like L1, but a filter with one large weight ranks higher. Needs no data.",
)
def l2(data: LayerData, *, level: Level) -> Tensor:
    """Score by Euclidean norm."""
    if level == "element":
        return _wide(data.weight).abs()
    return flat_rows(data.weight).square().sum(1).sqrt()


@criterion(
    "linf",
    label="L-infinity norm",
    citation="Paszke et al.: torch.nn.utils.prune.ln_structured with n = inf, PyTorch 1.4, 2020 "
    "(no equation)",
    formula="max |w| over the filter; |w| per element",
    help="A filter is as important as its largest weight. Needs no data.",
)
def linf(data: LayerData, *, level: Level) -> Tensor:
    """Score by the largest absolute weight."""
    if level == "element":
        return _wide(data.weight).abs()
    return flat_rows(data.weight).abs().amax(1)


@criterion(
    "fpgm",
    label="FPGM (geometric median)",
    citation="He, Liu, Wang, Hu, Yang: Filter Pruning via Geometric Median. "
    "CVPR 2019, arXiv:1811.00250, equation 6",
    formula="sum over the layer's filters j of ||F_i - F_j||_2",
    help="Removes the filters that the others can best stand in for: those nearest to the "
    "geometric median. Keeps small but unusual filters, which norms would remove. Needs no data.",
    granularities=CHANNEL,
)
def fpgm(data: LayerData, *, level: Level) -> Tensor:
    """Score by the sum of distances to the layer's other filters."""
    rows = flat_rows(data.weight)
    # The matrix-multiplication shortcut of cdist loses digits for filters that are near twins.
    return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").sum(1)


@criterion(
    "bn_scale",
    label="BN scale (Slim)",
    citation="Liu, Li, Shen, Huang, Yan, Zhang: Learning Efficient Convolutional Networks through "
    "Network Slimming. ICCV 2017, arXiv:1708.06519, equation 2 (gamma)",
    formula="|gamma| of the batch norm after the layer",
    help="The scale that batch norm gives the channel. Needs no data, but a batch norm directly "
    "after the layer.",
    needs={"bn_scale"},
    granularities={"channel"},
    layer_types=CONV_AND_LINEAR,
    caution="Made for networks trained with an L1 penalty on gamma; weak for others.",
)
def bn_scale(data: LayerData, *, level: Level) -> Tensor:
    """Score by the absolute scale of the following batch norm."""
    return _wide(data.statistics["bn_scale"]).abs()


@criterion(
    "lamp",
    label="LAMP",
    citation="Lee, Park, Mo, Ahn, Shin: Layer-adaptive Sparsity for the Magnitude-based Pruning. "
    "ICLR 2021, arXiv:2010.07611, section 3, definition of score(u; W)",
    formula="w^2 / sum of the w'^2 in the layer that are no smaller",
    help="Squared magnitude, rescaled so that one threshold over all layers picks sensible ratios "
    "per layer. Within one layer it ranks as L1 (elements) or L2 (channels) does. Needs no data.",
    normalizer="none",
)
def lamp(data: LayerData, *, level: Level) -> Tensor:
    """Score by the squared magnitude relative to all that would outlive it."""
    squares = flat_rows(data.weight).double().square()
    if level == "channel":
        return _lamp(squares.sum(1))
    return _lamp(squares.reshape(-1)).reshape(data.weight.shape)


def _lamp(squares: Tensor) -> Tensor:
    ordered, order = torch.sort(squares, stable=True)
    outliving = ordered.flip(0).cumsum(0).flip(0)
    # An all-zero layer has nothing to rank: 0/0 counts as 0.
    ratio = torch.where(outliving > 0, ordered / outliving, 0.0)
    return torch.empty_like(squares).index_copy_(0, order, ratio)


@criterion(
    "random",
    label="Random",
    citation="Mittal, Bhardwaj, Khapra, Ravindran: Recovering from Random Pruning. WACV 2018, "
    "arXiv:1801.10447 (the baseline; no equation)",
    formula="uniform in [0, 1), seeded by run and layer",
    help="The baseline that each criterion must beat. Repeatable: seed and layer name fix it.",
    needs={"seed"},
)
def random(data: LayerData, *, level: Level) -> Tensor:
    """Score by chance; the same seed and layer name give the same scores on every device."""
    digest = hashlib.sha256(f"{data.seed}/{data.name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    shape = data.weight.shape if level == "element" else data.weight.shape[:1]
    return torch.rand(shape, generator=generator).to(data.weight.device)
