"""Layer-wise repairs without training: fit a pruned layer to the dense layer's outputs.

Shape suffixes as in `pruners.reconstruction.moments`: ``G`` groups, ``O`` outputs of a group,
``D`` inputs, ``E`` inputs with the constant for the bias.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pruners.float32 import strict
from pruners.reconstruction.moments import Moments, augmented

RIDGE = 1e-3
# Normal matrices of rows with masks of their own are solved in batches of this many bytes.
SOLVE_BYTES = 256 * 2**20


@strict
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
