"""Layer-wise repairs without training: fit a pruned layer to the dense layer's outputs.

Shape suffixes as in `pruners.moments`: ``G`` groups, ``O`` outputs of a group, ``D`` inputs, ``E``
inputs with the constant for the bias.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pruners.criteria.second_order import damped_hessian
from pruners.errors import InputError
from pruners.masks import keep_mask
from pruners.moments import Moments, augmented

BLOCK_COLUMNS = 128
RIDGE = 1e-3
# Normal matrices of rows with masks of their own are solved in batches of this many bytes.
SOLVE_BYTES = 256 * 2**20
Select = Callable[[Tensor], Tensor]


def least_squares(
    moments: Moments,
    weight: Tensor,
    bias: Tensor | None,
    *,
    mask: Tensor,
    ridge: float = RIDGE,
) -> tuple[Tensor, Tensor | None]:
    """Fit the kept weights (and bias) to the dense outputs by least squares.

    Minimises ``sum ||y - W x - b||^2 + ridge * mean(diag) * ||W - W0||^2`` over the kept weights,
    with W0 the masked weights: the error on the calibration data is never larger than that of
    masking alone, and inputs that the data does not determine keep their weights.

    Args:
        moments: Inputs of the pruned model, outputs of the dense one.
        weight: Output-first ``(G*O, I/G, K...)``.
        bias: ``(G*O,)``; None if the layer has none, then none is fitted.
        mask: Boolean, the weight's shape, True = keep.
        ridge: Strength of the pull to the old weights, 0 for plain least squares (then inputs
            that are linearly dependent get the solution of least norm change).

    Returns:
        New weight and bias in the types of the old ones; removed weights are exactly 0.

    References:
        He, Zhang, Sun: Channel Pruning for Accelerating Very Deep Neural Networks. ICCV 2017,
        arXiv:1707.06168, equation 1 with the channels fixed; the reconstruction of AIMET.
        Deviation: the ridge, and all positions of each sample instead of ten sampled ones.
    """
    groups = len(moments.gram)
    shape = (groups, weight.shape[0] // groups, -1)
    keep_GOD = mask.reshape(shape)
    free = torch.full_like(keep_GOD[..., :1], bias is not None)
    keep_GOE = torch.cat([keep_GOD, free], dim=2)
    start = augmented(weight * mask, bias, groups=groups)
    solved = torch.stack(
        [
            _solve_group(moments.gram[g], moments.cross[g], start[g], keep_GOE[g], ridge)
            for g in range(groups)
        ]
    )
    new_weight = solved[..., :-1].reshape(weight.shape).to(weight.dtype) * mask
    if bias is None:
        return new_weight, None
    return new_weight, solved[..., -1].reshape(-1).to(bias.dtype)


def _solve_group(gram: Tensor, cross: Tensor, start: Tensor, keep: Tensor, ridge: float) -> Tensor:
    """Return the fitted rows ``(O, E)``; rows that share a mask share one factorisation."""
    patterns, which = torch.unique(keep, dim=0, return_inverse=True)
    width = gram.shape[0]
    at_once = max(1, SOLVE_BYTES // (8 * width * width))
    result = start.clone()
    for first in range(0, len(patterns), at_once):
        chunk = patterns[first : first + at_once]
        factor = _factor(gram, chunk, ridge)
        for number in range(len(chunk)):
            rows = which == first + number
            if not bool(rows.any()):
                continue
            residual = (cross[rows] - start[rows] @ gram) * chunk[number]
            result[rows] = start[rows] + _apply(factor[number], residual, ridge) * chunk[number]
    return result


def _factor(gram: Tensor, patterns: Tensor, ridge: float) -> Tensor:
    """Return Cholesky factors ``(P, E, E)`` of the kept parts, or pseudo-inverses without ridge."""
    both = patterns[:, :, None] & patterns[:, None, :]
    matrices = torch.where(both, gram, 0.0)
    if ridge == 0:
        inverse: Tensor = torch.linalg.pinv(matrices, hermitian=True)
        return inverse
    diagonal = matrices.diagonal(dim1=-2, dim2=-1)
    scale = diagonal.sum(-1) / patterns.sum(-1).clamp_min(1)
    lift = ridge * scale.clamp_min(torch.finfo(torch.float64).tiny)
    # Positions that are not kept get a 1: they stay apart and their residual is 0.
    diagonal.add_(torch.where(patterns, lift[:, None], 1.0))
    factor: Tensor = torch.linalg.cholesky(matrices)
    return factor


def _apply(factor: Tensor, residual: Tensor, ridge: float) -> Tensor:
    if ridge == 0:
        return residual @ factor
    return torch.cholesky_solve(residual.T, factor).T


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


def unit_scales(
    parts: list[tuple[Moments, Tensor, Tensor, Tensor | None]],
    *,
    kept: Tensor,
    ridge: float = RIDGE,
) -> Tensor:
    """Return a factor for each kept unit that brings the consumers' outputs closest to dense.

    Minimises ``sum over consumers ||y - b - sum_u m_u W_u x_u||^2 + ridge * scale * ||m - 1||^2``,
    with ``W_u x_u`` what unit u adds to a consumer's output.

    Args:
        parts: For each consumer its moments, output-first weight, the unit of each weight's input
            ``(G, D)`` (-1: not in the group, factor 1) and bias.
        kept: Boolean ``(units,)``.
        ridge: Pull to 1, relative to the mean diagonal.

    Returns:
        Factors ``(units,)`` float64; 0 for removed units.

    References:
        Kwon et al.: A Fast Post-Training Pruning Framework for Transformers. NeurIPS 2022,
        arXiv:2204.09656, section 4.3 (mask tuning). Deviation: Gram matrices and a ridge to 1
        instead of LSMR with bounds.
    """
    units = len(kept)
    normal = torch.zeros(units, units, dtype=torch.float64, device=kept.device)
    target = torch.zeros(units, dtype=torch.float64, device=kept.device)
    for moments, weight, unit_GD, bias in parts:
        part_normal, part_target = _unit_normal(moments, weight, unit_GD, bias, units)
        normal += part_normal
        target += part_target
    chosen = kept.nonzero()[:, 0]
    normal, target = normal[chosen][:, chosen], target[chosen]
    lift = ridge * float(normal.diagonal().mean()) + torch.finfo(torch.float64).tiny
    residual = target - normal.sum(1)
    damped = normal + lift * torch.eye(len(chosen), dtype=torch.float64, device=kept.device)
    scales = torch.zeros(units, dtype=torch.float64, device=kept.device)
    scales[chosen] = 1 + torch.linalg.lstsq(damped, residual[:, None]).solution[:, 0]
    return scales


def _unit_normal(
    moments: Moments, weight: Tensor, unit_GD: Tensor, bias: Tensor | None, units: int
) -> tuple[Tensor, Tensor]:
    groups = len(moments.gram)
    rows = augmented(weight, bias, groups=groups)
    product = (rows.transpose(1, 2) @ rows) * moments.gram
    fixed_GE = torch.ones(groups, rows.shape[2], dtype=torch.bool, device=rows.device)
    fixed_GE[:, :-1] = unit_GD < 0
    pick = torch.zeros(groups, rows.shape[2], units, dtype=torch.float64, device=rows.device)
    inside = unit_GD >= 0
    group, column = inside.nonzero(as_tuple=True)
    pick[group, column, unit_GD[inside]] = 1.0
    normal = torch.einsum("geu,gef,gfv->uv", pick, product, pick)
    wanted = (rows * moments.cross).sum(1) - (product * fixed_GE[:, None]).sum(2)
    return normal, torch.einsum("geu,ge->u", pick, wanted)
