"""Optimal brain surgeon: what is removed is made up for by the weights that stay."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pruners.criteria import damped_hessian
from pruners.errors import InputError
from pruners.reconstruction.moments import Moments
from pruners.selection import keep_mask

BLOCK_COLUMNS = 128


Select = Callable[[Tensor], Tensor]


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
    new = torch.stack([_sweep(rows[g], hessian[g], mask=keep[g])[0] for g in range(groups)])
    return new.reshape(weight.shape).to(weight.dtype) * mask


def obs_fit(
    moments: Moments, weight: Tensor, bias: Tensor | None, *, mask: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return the weight of `obs_update` from a layer's moments, and the bias as it is."""
    return obs_update(weight, moments.gram[:, :-1, :-1], mask=mask), bias


def sparsegpt(
    weight: Tensor,
    gram: Tensor,
    *,
    ratio: float | None = None,
    pattern: tuple[int, int] | None = None,
    block_columns: int = BLOCK_COLUMNS,
) -> tuple[Tensor, Tensor]:
    """Prune as published: choose weights block by block, update the rest as columns go.

    Args:
        weight: Output-first ``(G*O, I/G, K...)``; convolutions use unfolded inputs.
        gram: Input Gram matrices ``(G, D, D)``.
        ratio: Fraction removed of each block of columns; None with a pattern.
        pattern: ``(N kept, M)`` along the columns; None with a ratio.
        block_columns: Columns per block; blocks of a pattern have M columns.

    Returns:
        The new weight and its mask (True = keep).

    Raises:
        InputError: Not exactly one of ratio and pattern is given.

    References:
        Frantar, Alistarh: SparseGPT. ICML 2023, arXiv:2301.00774, algorithm 1.
    """
    if (ratio is None) == (pattern is None):
        raise InputError("SparseGPT takes either a ratio or an N:M pattern")
    groups = len(gram)
    rows = weight.double().reshape(groups, weight.shape[0] // groups, -1)
    hessian = damped_hessian(gram)
    if pattern is None:
        select = _ratio_selector(ratio or 0.0)
    else:
        select = _pattern_selector(pattern[0])
        block_columns = pattern[1]
    news, masks = [], []
    for g in range(groups):
        dead = gram[g].diagonal() == 0
        live = rows[g].masked_fill(dead, 0.0)
        new, mask = _sweep(live, hessian[g], select=select, block_columns=block_columns)
        news.append(new)
        masks.append(mask)
    mask = torch.stack(masks).reshape(weight.shape)
    return torch.stack(news).reshape(weight.shape).to(weight.dtype) * mask, mask


def _ratio_selector(ratio: float) -> Select:
    def select(saliency: Tensor) -> Tensor:
        flat = saliency.reshape(-1)
        return keep_mask(flat, flat.numel() - int(flat.numel() * ratio)).reshape(saliency.shape)

    return select


def _pattern_selector(kept: int) -> Select:
    def select(saliency: Tensor) -> Tensor:
        order = torch.argsort(saliency, dim=1, stable=True)
        mask = torch.ones_like(saliency, dtype=torch.bool)
        return mask.scatter_(1, order[:, : max(saliency.shape[1] - kept, 0)], False)

    return select


def _sweep(
    rows: Tensor,
    hessian: Tensor,
    *,
    mask: Tensor | None = None,
    select: Select | None = None,
    block_columns: int = BLOCK_COLUMNS,
) -> tuple[Tensor, Tensor]:
    """Go through the columns of one group ``(O, D)``; return new rows and mask.

    Either the mask is given or ``select`` picks it from the saliency of each block of columns when
    that block is due: by then its weights have taken the updates of all earlier columns.
    """
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    upper = torch.linalg.cholesky(inverse, upper=True)
    new = rows.clone()
    keep = torch.ones_like(new, dtype=torch.bool) if mask is None else mask
    for start in range(0, new.shape[1], block_columns):
        stop = min(start + block_columns, new.shape[1])
        if select is not None:
            saliency = (new[:, start:stop] / upper.diagonal()[start:stop]).square()
            keep[:, start:stop] = select(saliency)
        errors = torch.zeros_like(new[:, start:stop])
        for column in range(start, stop):
            error = new[:, column].masked_fill(keep[:, column], 0.0) / upper[column, column]
            new[:, column:stop] -= error[:, None] * upper[column, column:stop]
            errors[:, column - start] = error
        new[:, stop:] -= errors @ upper[start:stop, stop:]
    return new, keep
