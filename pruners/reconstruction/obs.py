"""Optimal brain surgeon: what is removed is made up for by the weights that stay."""

from __future__ import annotations

import torch
from torch import Tensor

from pruners.criteria import damped_hessian
from pruners.float32 import strict
from pruners.reconstruction.moments import Moments

BLOCK_COLUMNS = 128


@strict
def obs_update(weight: Tensor, gram: Tensor, *, mask: Tensor) -> Tensor:
    """Remove the masked weights column by column and let the later columns make up for it.

    Args:
        weight: Output-first ``(G*O, I/G, K...)`` of a convolution or linear layer.
        gram: Input Gram matrices ``(G, D, D)``; any positive scale.
        mask: Boolean, the weight's shape, True = keep.

    Returns:
        The new weight in its old type; removed weights are exactly 0.

    References:
        Frantar, Alistarh: SparseGPT. ICML 2023, arXiv:2301.00774, algorithm 1 with the mask given.
        Inputs that are never active keep their weights here; the paper's code clears them.
    """
    groups = len(gram)
    keep = mask.reshape(groups, weight.shape[0] // groups, -1)
    rows = weight.double().reshape(keep.shape)
    hessian = damped_hessian(gram)
    new = torch.stack([_sweep(rows[g], hessian[g], keep[g]) for g in range(groups)])
    return new.reshape(weight.shape).to(weight.dtype) * mask


def obs_fit(
    moments: Moments, weight: Tensor, bias: Tensor | None, *, mask: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return the weight of `obs_update` from a layer's moments, and the bias as it is."""
    return obs_update(weight, moments.gram[:, :-1, :-1], mask=mask), bias


def _sweep(rows: Tensor, hessian: Tensor, keep: Tensor) -> Tensor:
    """Go through the columns of one group ``(O, D)``; return the new rows."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    upper = torch.linalg.cholesky(inverse, upper=True)
    new = rows.clone()
    for start in range(0, new.shape[1], BLOCK_COLUMNS):
        stop = min(start + BLOCK_COLUMNS, new.shape[1])
        errors = torch.zeros_like(new[:, start:stop])
        for column in range(start, stop):
            error = new[:, column].masked_fill(keep[:, column], 0.0) / upper[column, column]
            new[:, column:stop] -= error[:, None] * upper[column, column:stop]
            errors[:, column - start] = error
        new[:, stop:] -= errors @ upper[start:stop, stop:]
    return new
