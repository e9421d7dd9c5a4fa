"""Criteria from forward passes: what goes into a layer and what comes out."""

from __future__ import annotations

import torch
from torch import Tensor

from pruners.criteria.registry import CHANNEL, CONV_AND_LINEAR, Level, criterion
from pruners.layers import flat_rows
from pruners.statistics import LayerData


@criterion(
    "wanda",
    label="Wanda",
    citation="Sun, Liu, Bair, Kolter: A Simple and Effective Pruning Approach for Large Language "
    "Models. ICLR 2024, arXiv:2306.11695, equation 1",
    formula="|w_ij| * ||x_j||_2, ranked within each output row (elements); summed over the filter "
    "(channels)",
    help="Small weights on loud inputs stay. Each output channel loses the same share of its "
    "weights, as in the paper. Needs only forward passes.",
    needs={"input_norm"},
    cost="forward",
)
def wanda(data: LayerData, *, level: Level) -> Tensor:
    """Score by weight times input norm; elements by their rank in the row.

    The paper compares weights only within one output. Ranks give each row the same share at any
    ratio; among equal ranks of different rows the smaller product goes first.
    """
    product = flat_rows(data.weight).abs() * input_norm_rows(data)
    if level == "channel":
        return product.sum(1)
    order = torch.argsort(product, dim=1, stable=True)
    ranks = torch.argsort(order, dim=1, stable=True).double()
    largest = product.max().clamp_min(torch.finfo(product.dtype).tiny)
    return (ranks + 0.5 * (product / largest).double()).reshape(data.weight.shape)


def input_norm_rows(data: LayerData) -> Tensor:
    """Return the norm of each weight's input ``(O, D)``, from ``input_norm`` ``(G, D)``."""
    norms = data.statistics["input_norm"]
    return norms.repeat_interleave(data.weight.shape[0] // norms.shape[0], 0)


@criterion(
    "activation_norm",
    label="Activation norm",
    citation="Molchanov, Tyree, Karras, Aila, Kautz: Pruning Convolutional Neural Networks for "
    "Resource Efficient Inference. ICLR 2017, arXiv:1611.06440, section 2.2 ('Activation'; here "
    "the root mean square, in which signs do not cancel)",
    formula="sqrt(mean of a^2), a the channel after batch norm, residual sum and activation",
    help="Channels that are nearly silent go first. Needs only forward passes.",
    needs={"activation_square"},
    granularities=CHANNEL,
    layer_types=CONV_AND_LINEAR,
    cost="forward",
)
def activation_norm(data: LayerData, *, level: Level) -> Tensor:
    """Score by the root mean square of the channel as the next layers read it."""
    return data.statistics["activation_square"].sqrt()


@criterion(
    "apoz",
    label="APoZ (zeros after ReLU)",
    citation="Hu, Peng, Tai, Tang: Network Trimming: A Data-Driven Neuron Pruning Approach. 2016, "
    "arXiv:1607.03250, equation 1",
    formula="1 - fraction of zeros of the channel after its ReLU",
    help="Channels that are mostly zero after ReLU go first. Layers without a ReLU after them "
    "cannot be scored. Needs only forward passes.",
    needs={"activation_zeros"},
    granularities=CHANNEL,
    layer_types=CONV_AND_LINEAR,
    cost="forward",
)
def apoz(data: LayerData, *, level: Level) -> Tensor:
    """Score by the share of activations that are not zero."""
    return 1 - data.statistics["activation_zeros"]
