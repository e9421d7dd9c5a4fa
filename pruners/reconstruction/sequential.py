"""Weights chosen where they are removed: SparseGPT and Wanda as their authors run them.

Layers are pruned in the order of execution, each by the inputs that the model pruned so far gives.
A `Chooser` is the step at one layer; `pruners.reconstruction.repair_layers` goes from layer to
layer.

Shape suffixes: ``G`` convolution groups, ``O`` output channels of one group, ``D`` inputs of one
output, in the order in which they are gone through.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pruners.criteria import damped_hessian, scores
from pruners.float32 import strict
from pruners.granularity import Granularity
from pruners.reconstruction.layerwise import Fit
from pruners.reconstruction.moments import Moments
from pruners.reconstruction.obs import BLOCK_COLUMNS
from pruners.selection import element_mask
from pruners.statistics import LayerData


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """How much of a weight stays, in which pattern.

    Attributes:
        granularity: ``element`` or ``n:m``.
        kept: Number of weights that stay.
        allowed: Which may stay, of the weight's shape; None is all.
    """

    granularity: Granularity
    kept: int
    allowed: Tensor | None = None


class Chooser(Protocol):
    """Chooses the weights of one layer that stay, and gives them their values."""

    def __call__(self, weight: Tensor, gram: Tensor, *, asked: Asked) -> tuple[Tensor, Tensor]:
        """Return a mask (True = keep) and the new weights, both of the weight's shape.

        Args:
            weight: Output-first ``(G*O, I/G, K...)``.
            gram: Gram matrices of the inputs that the layer reads now ``(G, D, D)``, any scale.
            asked: How much stays.
        """


@strict
def choose_wanda(weight: Tensor, gram: Tensor, *, asked: Asked) -> tuple[Tensor, Tensor]:
    """Keep the weights of the largest ``|w| * ||x||`` of each output row, or of each M of it.

    References:
        Sun et al.: A Simple and Effective Pruning Approach for Large Language Models. ICLR 2024,
        arXiv:2306.11695, algorithm 1.
    """
    norms = gram.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt().to(weight.dtype)
    data = LayerData(
        name="",
        weight=weight,
        type="Linear",
        conv_groups=len(gram),
        statistics={"input_norm": norms},
        reasons={},
        seed=0,
    )
    found = scores("wanda", data, level="element")
    mask = element_mask(asked.granularity, found, kept=asked.kept)
    if asked.allowed is not None:
        mask = mask & asked.allowed
    return mask, weight * mask


@strict
def choose_sparsegpt(weight: Tensor, gram: Tensor, *, asked: Asked) -> tuple[Tensor, Tensor]:
    """Go through the columns; choose at each block, or at each M, by what the weights are by then.

    Of every 128 columns the same share goes, over all rows together: those of the smallest
    ``w^2 / [H^-1]_jj``. Of N:M the N largest of each row stay. Later columns make up for the error.

    References:
        Frantar, Alistarh: SparseGPT. ICML 2023, arXiv:2301.00774, algorithm 1. The authors' code
        removes one weight more of each block than the share says; here the number is exact. It
        clears weights of inputs that are never active; here they go first, the others stay.
    """
    groups, width = gram.shape[:2]
    order = _order(weight, asked.granularity)

    def ordered(tensor: Tensor) -> Tensor:
        return tensor.reshape(groups, -1, width)[:, :, order]

    allowed = torch.ones_like(weight, dtype=torch.bool) if asked.allowed is None else asked.allowed
    rows, keep = ordered(weight.double()), ordered(allowed)
    hessian = damped_hessian(gram)[:, order][:, :, order]
    dead = (gram.diagonal(dim1=-2, dim2=-1) == 0)[:, order]
    removed = _shares(weight.numel() - asked.kept, [1] * groups)
    run = width // math.prod(weight.shape[2:])
    done = []
    for group in range(groups):
        sweep = _Sweep(rows[group], hessian[group], dead[group], keep[group])
        if asked.granularity.kind == "n:m" and asked.kept < weight.numel():
            sweep.patterns(asked.granularity, run=run)
        else:
            sweep.elements(removed[group])
        new = torch.where(dead[group], rows[group], sweep.rows)
        done.append((sweep.keep, new))
    back = torch.argsort(order)
    mask = torch.stack([kept for kept, _ in done])[:, :, back].reshape(weight.shape)
    values = torch.stack([new for _, new in done])[:, :, back].reshape(weight.shape)
    return mask, values.to(weight.dtype) * mask


def chosen_fit(choose: Chooser, asked: Asked) -> Fit:
    """Return a fit that chooses the weights of one layer anew, whatever mask it is given."""

    def fit(
        moments: Moments, weight: Tensor, bias: Tensor | None, *, mask: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        return choose(weight, moments.gram[:, :-1, :-1], asked=asked)[1], bias

    return fit


def masked_fit(
    moments: Moments, weight: Tensor, bias: Tensor | None, *, mask: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return the weight with what is masked set to 0, and nothing fitted."""
    return weight * mask, bias


def _order(weight: Tensor, granularity: Granularity) -> Tensor:
    """Return the order of the columns: M of a pattern are neighbours, kernel position apart."""
    inputs, kernel = weight.shape[1], math.prod(weight.shape[2:])
    columns = torch.arange(inputs * kernel, device=weight.device).reshape(inputs, kernel)
    return (columns.T if granularity.kind == "n:m" else columns).reshape(-1)


def _shares(total: int, sizes: list[int]) -> list[int]:
    """Share out a number by sizes, such that the shares add up to it."""
    found, before, whole = [], 0, sum(sizes)
    for end in torch.tensor(sizes).cumsum(0).tolist():
        upto = (2 * total * end + whole) // (2 * whole)
        found.append(upto - before)
        before = upto
    return found


class _Sweep:
    """Goes through the columns of one group and removes what it chooses on the way.

    Args:
        rows: Weights ``(O, D)`` in float64.
        hessian: ``(D, D)``, damped.
        dead: Which inputs are never active ``(D,)``.
        allowed: Which weights may stay ``(O, D)``.
    """

    def __init__(self, rows: Tensor, hessian: Tensor, dead: Tensor, allowed: Tensor) -> None:
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
        self._upper = torch.linalg.cholesky(inverse, upper=True)
        self.rows = rows.masked_fill(dead, 0.0)
        self.keep = allowed.clone()

    def elements(self, removed: int) -> None:
        """Remove a number of weights, the same share of each block of columns."""
        blocks = list(_blocks(self.rows.shape[1], BLOCK_COLUMNS))
        shares = _shares(removed, [stop - start for start, stop in blocks])
        for (start, stop), share in zip(blocks, shares, strict=True):
            order = torch.argsort(self._saliency(start, stop).reshape(-1), stable=True)
            lost = torch.zeros(len(order), dtype=torch.bool, device=order.device)
            lost[order[:share]] = True
            self.keep[:, start:stop] &= ~lost.reshape(-1, stop - start)
            self._remove(start, stop, every=stop - start)

    def patterns(self, granularity: Granularity, *, run: int) -> None:
        """Keep N of each M columns of every row; runs of ``run`` columns end a pattern."""
        kept, out_of = granularity.rows, granularity.columns
        for first in range(0, self.rows.shape[1], run):
            # A block ends where a pattern does.
            for start, stop in _blocks(run, max(BLOCK_COLUMNS // out_of, 1) * out_of):
                self._remove(first + start, first + stop, every=out_of, kept=kept)

    def _saliency(self, start: int, stop: int) -> Tensor:
        scaled: Tensor = self.rows[:, start:stop] / self._upper.diagonal()[start:stop]
        return scaled.square()

    def _choose(self, start: int, stop: int, kept: int) -> None:
        """Keep at most some weights of each row among neighbouring columns."""
        if stop - start > kept:
            lost = self._saliency(start, stop).topk(stop - start - kept, 1, largest=False)[1]
            self.keep[:, start:stop].scatter_(1, lost, value=False)

    def _remove(self, start: int, stop: int, *, every: int, kept: int | None = None) -> None:
        """Remove what is not kept, column by column; later ones make up for it."""
        errors = torch.zeros_like(self.rows[:, start:stop])
        for column in range(start, stop):
            if kept is not None and (column - start) % every == 0:
                self._choose(column, min(column + every, stop), kept)
            lost = self.rows[:, column].masked_fill(self.keep[:, column], 0.0)
            error = lost / self._upper[column, column]
            self.rows[:, column:stop] -= error[:, None] * self._upper[column, column:stop]
            errors[:, column - start] = error
        self.rows[:, stop:] -= errors @ self._upper[start:stop, stop:]


def _blocks(size: int, width: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, width):
        yield start, min(start + width, size)
