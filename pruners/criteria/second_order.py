"""Criteria from curvature: Fisher information and the Hessian of the layer's output error.

Shape suffixes: ``O`` output channels, ``D`` weights of one output channel, ``B`` block length,
``G`` convolution groups.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pruners.criteria.registry import CHANNEL, CONV_AND_LINEAR, Level, criterion
from pruners.layers import flat_rows
from pruners.statistics import LayerData, in_blocks

# Damping of the empirical Fisher, as in the reference implementation of oBERT.
FISHER_DAMP = 1e-7
# Damping of the input Hessian relative to its mean diagonal, as in SparseGPT.
HESSIAN_DAMP = 0.01


@criterion(
    "fisher",
    label="Fisher (gates)",
    citation="Kwon, Kim, Mahoney, Hassoun, Keutzer, Gholami: A Fast Post-Training Pruning "
    "Framework for Transformers. NeurIPS 2022, arXiv:2204.09656, section 4 (diagonal Fisher "
    "information of the mask variables)",
    formula="mean over samples of (dL/dm)^2, m a gate on the channel",
    help="How sharply the loss of single samples reacts to closing the channel where the next "
    "layers read it. The score of the retrain-free mask search.",
    needs={"gate_gradients"},
    granularities=CHANNEL,
    layer_types=CONV_AND_LINEAR,
    cost="backward",
    normalizer="none",
)
def fisher(data: LayerData, *, level: Level) -> Tensor:
    """Score by the diagonal Fisher information of the channel's gate."""
    return data.statistics["gate_gradients"].square().mean(0)


@criterion(
    "obs",
    label="OBS (empirical Fisher)",
    citation="Kurtic, Campos, Nguyen, Frantar, Kurtz, Fineran, Goin, Alistarh: The Optimal BERT "
    "Surgeon. EMNLP 2022, arXiv:2203.07259, section 3.1; saliency of Hassibi and Stork, Second "
    "Order Derivatives for Network Pruning: Optimal Brain Surgeon, NIPS 1992, equation 5",
    formula="w^2 / (2 [F^-1]_ii); for a filter w' F w / 2",
    help="Second-order change of the loss, counting what the neighbouring weights can make up "
    "for. Costs memory: one small matrix per block of weights.",
    needs={"fisher_blocks"},
    cost="second order",
    normalizer="none",
    caution="One gradient per calibration batch: use many small batches.",
)
def obs(data: LayerData, *, level: Level) -> Tensor:
    """Score by the loss that removal costs after the best update of the block's other weights.

    The inverse of ``F + damp I`` is taken directly, which is what the paper's rank-one updates
    arrive at. A whole filter leaves no other weights in its blocks, so its saliency is exact.
    """
    blocks_OBB = data.statistics["fisher_blocks"].double()
    size = blocks_OBB.shape[-1]
    damped = blocks_OBB + FISHER_DAMP * torch.eye(
        size, dtype=torch.float64, device=blocks_OBB.device
    )
    rows = in_blocks(flat_rows(data.weight).double(), size)
    if level == "channel":
        return 0.5 * torch.einsum("obi,obij,obj->o", rows, damped, rows)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    saliency = rows.square() / (2 * inverse.diagonal(dim1=-2, dim2=-1))
    width = flat_rows(data.weight).shape[1]
    return saliency.flatten(1)[:, :width].reshape(data.weight.shape)


@criterion(
    "sparsegpt",
    label="SparseGPT saliency",
    citation="Frantar, Alistarh: SparseGPT: Massive Language Models Can Be Accurately Pruned in "
    "One-Shot. ICML 2023, arXiv:2301.00774, equation 3",
    formula="w^2 / [H^-1]_jj with H = X X'; for a filter w' H w",
    help="Error of the layer's output, counting what the other weights of the same output can make "
    "up for. Needs only forward passes; best together with the OBS update.",
    needs={"input_gram"},
    cost="second order",
)
def sparsegpt(data: LayerData, *, level: Level) -> Tensor:
    """Score by the layer's squared output error after the best update of the same row."""
    gram_GDD = damped_hessian(data.statistics["input_gram"])
    groups, width = gram_GDD.shape[:2]
    rows_GOD = flat_rows(data.weight).double().reshape(groups, -1, width)
    if level == "channel":
        plain = data.statistics["input_gram"].double()
        return torch.einsum("goi,gij,goj->go", rows_GOD, plain, rows_GOD).reshape(-1)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram_GDD))
    saliency = rows_GOD.square() / inverse.diagonal(dim1=-2, dim2=-1)[:, None]
    dead = data.statistics["input_gram"].diagonal(dim1=-2, dim2=-1) == 0
    return saliency.masked_fill(dead[:, None], 0.0).reshape(data.weight.shape)


def damped_hessian(gram: Tensor) -> Tensor:
    """Return the Gram matrices in float64 with the damping that makes them invertible.

    Dead inputs get 1 on the diagonal, then all get 1 % of its mean, as in SparseGPT.

    Args:
        gram: Input Gram matrices ``(G, D, D)``.
    """
    hessian = gram.double().clone()
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    diagonal[diagonal == 0] = 1.0
    diagonal.add_(HESSIAN_DAMP * diagonal.mean(-1, keepdim=True))
    return hessian
