"""Criteria from gradients of the calibration loss with respect to the weights."""

from __future__ import annotations

from torch import Tensor

from pruners.criteria.registry import CHANNEL, Level, criterion
from pruners.statistics import LayerData


@criterion(
    "taylor",
    label="Taylor (first order)",
    citation="Molchanov, Mallya, Tyree, Frosio, Kautz: Importance Estimation for Neural Network "
    "Pruning. CVPR 2019, arXiv:1906.10771, equations 5 and 7",
    formula="sum over the filter of mean over batches of (g * w)^2",
    help="How much the loss would change, to first order, if each weight became zero. Uses the "
    "calibration data; usually the best ranking when data is at hand.",
    needs={"squared_product"},
    cost="backward",
    normalizer="none",
)
def taylor(data: LayerData, *, level: Level) -> Tensor:
    """Score by the squared first-order change of the loss, summed over weights."""
    return _filter_sum(data.statistics["squared_product"], level)


@criterion(
    "taylor_gate",
    label="Taylor gate",
    citation="Molchanov, Mallya, Tyree, Frosio, Kautz: Importance Estimation for Neural Network "
    "Pruning. CVPR 2019, arXiv:1906.10771, equation 8",
    formula="mean over batches of (sum over the filter of g * w)^2",
    help="Like Taylor, but for the filter as a whole: contributions of opposite sign cancel, as "
    "they do when the whole filter goes.",
    needs={"gate_square"},
    granularities=CHANNEL,
    cost="backward",
    normalizer="none",
)
def taylor_gate(data: LayerData, *, level: Level) -> Tensor:
    """Score by the squared first-order change if the whole filter went."""
    return data.statistics["gate_square"]


@criterion(
    "gradient",
    label="Gradient magnitude",
    citation="Intel Neural Compressor, pruning criterion 'gradient' (no paper, no equation)",
    formula="sum over the filter of mean over batches of |g|",
    help="Keeps what the loss reacts to most, however large the weight is. A baseline, rarely the "
    "best one.",
    needs={"abs_gradient"},
    cost="backward",
    caution="Ignores the weight that would be removed.",
)
def gradient(data: LayerData, *, level: Level) -> Tensor:
    """Score by the absolute gradient."""
    return _filter_sum(data.statistics["abs_gradient"], level)


@criterion(
    "snip",
    label="SNIP",
    citation="Lee, Ajanthan, Torr: SNIP: Single-shot Network Pruning based on Connection "
    "Sensitivity. ICLR 2019, arXiv:1810.02340, equations 4 and 5",
    formula="|g * w| with g the mean gradient, summed over the filter",
    help="Connection sensitivity: first-order change of the loss of the whole calibration set if "
    "the weight went. Made for networks before training, works on trained ones.",
    needs={"mean_gradient"},
    cost="backward",
    normalizer="none",
)
def snip(data: LayerData, *, level: Level) -> Tensor:
    """Score by the absolute product of mean gradient and weight."""
    product = data.statistics["mean_gradient"] * data.weight
    return _filter_sum(product.abs(), level)


@criterion(
    "snip_momentum",
    label="SNIP momentum",
    citation="Intel Neural Compressor, pruning criterion 'snip_momentum', after Lee et al. 2019, "
    "arXiv:1810.02340, equation 4",
    formula="s <- 0.9 s + |g * w| batch by batch, summed over the filter",
    help="SNIP batch by batch with a fading memory, so signs do not cancel between batches.",
    needs={"product_momentum"},
    cost="backward",
    normalizer="none",
    caution="Depends on the order of the batches: the last ones count most.",
)
def snip_momentum(data: LayerData, *, level: Level) -> Tensor:
    """Score by the running sum of absolute products."""
    return _filter_sum(data.statistics["product_momentum"], level)


@criterion(
    "movement",
    label="Movement",
    citation="Sanh, Wolf, Rush: Movement Pruning: Adaptive Sparsity by Fine-Tuning. NeurIPS 2020, "
    "arXiv:2005.07683, section 4, S = -sum over steps of w * dL/dw",
    formula="-w * mean g, summed over the filter; may be negative",
    help="Keeps weights that a training step would move away from zero.",
    needs={"mean_gradient"},
    cost="backward",
    caution="Made to be gathered over fine-tuning steps; a converged network barely moves, so "
    "one-shot scores are mostly noise.",
)
def movement(data: LayerData, *, level: Level) -> Tensor:
    """Score by how far gradient descent would move the weight away from zero."""
    return _filter_sum(-data.statistics["mean_gradient"] * data.weight, level)


def _filter_sum(element_scores: Tensor, level: Level) -> Tensor:
    return element_scores if level == "element" else element_scores.flatten(1).sum(1)
