"""Optimal brain surgeon by the empirical Fisher information of the loss: oBERT.

The loss change of weights ``d`` is taken as ``d' F d / 2``, ``F`` the mean outer product of
gradients plus a damping, cut into blocks on its diagonal. Weights belong to units that go as a
whole; a block holds whole units.

Shape suffixes: ``U`` units, ``S`` weights of a unit, ``N`` blocks, ``B`` weights of a block.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pruners.errors import InputError
from pruners.float32 import strict


class FisherSum:
    """The Fisher information of one weight, gathered gradient by gradient.

    In float64: fewer gradients than a block has weights leave it singular but for the damping,
    which is smaller than what float32 rounds off.

    Args:
        block: Weights of a block at most; at least one unit is in it.
    """

    def __init__(self, *, block: int) -> None:
        self._block = block
        self._total: Tensor | None = None
        self._count = 0

    @strict
    def add(self, gradient: Tensor) -> None:
        """Add the gradient of one sample ``(U, S)``."""
        rows_NB = _in_blocks(gradient.double(), self._block)
        if self._total is None:
            width = rows_NB.shape[1]
            self._total = rows_NB.new_zeros(len(rows_NB), width, width)
        self._total.baddbmm_(rows_NB[:, :, None], rows_NB[:, None])
        self._count += 1

    def damped(self, damp: float) -> Tensor:
        """Return the mean outer product in blocks ``(N, B, B)``, float64.

        Args:
            damp: Added to the diagonal; units that fill up the last block have nothing else.

        Raises:
            InputError: There were no gradients.
        """
        if self._total is None:
            raise InputError("the Fisher information needs at least one gradient; there is none")
        eye = torch.eye(self._total.shape[1], dtype=torch.float64, device=self._total.device)
        return self._total / self._count + damp * eye


@strict
def fisher_saliency(weight: Tensor, fisher: Tensor) -> Tensor:
    """Return the loss that the removal of each unit costs after the others make up for it.

    Args:
        weight: ``(U, S)``.
        fisher: As `FisherSum.damped` returns it.

    Returns:
        ``w' [F^-1]_uu^-1 w / 2`` of each unit ``(U,)``; of single weights
        ``w^2 / (2 [F^-1]_ww)``.

    References:
        Kurtic et al.: The Optimal BERT Surgeon. EMNLP 2022, arXiv:2203.07259, section 3.1.
    """
    units, size = weight.shape
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(fisher))
    blocks, width, _ = inverse.shape
    per = width // size
    grid = inverse.reshape(blocks, per, size, per, size)
    own_US = grid.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2).reshape(-1, size, size)[:units]
    wide = weight.double()
    saliency: Tensor = 0.5 * (wide * torch.linalg.solve(own_US, wide)).sum(1)
    return saliency


@strict
def fisher_update(weight: Tensor, fisher: Tensor, keep: Tensor) -> Tensor:
    """Remove units, and move the others of each block to where the loss rises least.

    All removed units of a block are made up for together; for one it is the update
    ``-w F^-1[:, w] / [F^-1]_ww``.

    Args:
        weight: ``(U, S)``.
        fisher: As `FisherSum.damped` returns it.
        keep: ``(U,)``, True = keep.

    Returns:
        The new weights in their old type; removed ones are exactly 0.

    References:
        As `fisher_saliency`, for the set of a block's removed weights.
    """
    rows_NB = _in_blocks(weight.double(), fisher.shape[-1])
    kept_NB = _in_blocks(keep[:, None].expand_as(weight).double(), fisher.shape[-1]).bool()
    gone_NB = rows_NB.masked_fill(kept_NB, 0.0)
    # The minimum over the kept weights k of the quadratic form: F_kk d = F_kr w_r.
    system = fisher * (kept_NB[:, :, None] & kept_NB[:, None]) + torch.diag_embed(
        (~kept_NB).double()
    )
    target_NB = torch.einsum("nij,nj->ni", fisher, gone_NB).masked_fill(~kept_NB, 0.0)
    new_NB: Tensor = (rows_NB + torch.linalg.solve(system, target_NB)).masked_fill(~kept_NB, 0.0)
    return new_NB.reshape(-1, weight.shape[1])[: len(weight)].to(weight.dtype)


def _in_blocks(tensor_US: Tensor, block: int) -> Tensor:
    """Return ``(N, B)``: whole units side by side, zeros after the last."""
    units, size = tensor_US.shape
    per = max(1, min(block // size, units))
    return F.pad(tensor_US, (0, 0, 0, -units % per)).reshape(-1, per * size)
