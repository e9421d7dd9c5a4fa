"""Units of element-like granularities in one weight: their number, scores and masks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pruners.errors import InputError, UnsupportedError
from pruners.granularity import Granularity
from pruners.selection.masks import keep_mask


def num_units(granularity: Granularity, shape: torch.Size | tuple[int, ...]) -> int:
    """Return the number of units in a weight of ``shape``; for ``n:m`` the number of weights.

    Raises:
        UnsupportedError: Units of channels and heads belong to groups, not to one weight.
    """
    _require_element_like(granularity)
    outputs, inputs, kernel = _dims(shape)
    if granularity.kind == "block":
        return -(-outputs // granularity.rows) * -(-inputs // granularity.columns) * kernel
    return outputs * inputs * kernel


def num_kept_fixed(granularity: Granularity, shape: torch.Size | tuple[int, ...]) -> int:
    """Return how many weights an N:M pattern keeps in a weight of ``shape``."""
    outputs, inputs, kernel = _dims(shape)
    full, rest = divmod(inputs, granularity.columns)
    return outputs * kernel * (full * granularity.rows + min(rest, granularity.rows))


def unit_scores(granularity: Granularity, scores: Tensor) -> Tensor:
    """Pool element scores to units.

    Args:
        granularity: ``element`` or ``block:NxM``; for ``n:m`` the scores are returned as they are.
        scores: Scores of the weight's shape ``(O, I/G, K...)``.

    Returns:
        The scores unchanged, or the means of the blocks ``(ceil(O/N), ceil(I/M), K)``.
    """
    _require_element_like(granularity)
    if granularity.kind != "block":
        return scores
    count = _block_sums(granularity, torch.ones_like(scores))
    return _block_sums(granularity, scores) / count


def element_mask(granularity: Granularity, scores: Tensor, *, kept: int) -> Tensor:
    """Return the mask of a weight.

    Args:
        granularity: ``element``, ``block:NxM`` or ``n:m``.
        scores: Element scores of the weight's shape ``(O, I/G, K...)``.
        kept: Number of units that stay; for ``n:m`` all weights (dense) or `num_kept_fixed`.

    Returns:
        Boolean tensor of the weight's shape, True = keep.

    Raises:
        InputError: ``kept`` is not possible.
    """
    pooled = unit_scores(granularity, scores)
    if granularity.kind == "n:m" and kept != scores.numel():
        if kept != num_kept_fixed(granularity, scores.shape):
            raise InputError(
                f"{granularity} keeps {num_kept_fixed(granularity, scores.shape)} of "
                f"{scores.numel()} weights, not {kept}"
            )
        return nm_mask(scores, keep=granularity.rows, out_of=granularity.columns)
    return expand(granularity, keep_mask(pooled, kept), scores.shape)


def expand(
    granularity: Granularity, unit_mask: Tensor, shape: torch.Size | tuple[int, ...]
) -> Tensor:
    """Spread a mask of units over the weight's elements ``(O, I/G, K...)``."""
    _require_element_like(granularity)
    if granularity.kind != "block":
        return unit_mask.reshape(shape)
    outputs, inputs, _ = _dims(shape)
    spread = unit_mask.repeat_interleave(granularity.rows, 0)[:outputs]
    return spread.repeat_interleave(granularity.columns, 1)[:, :inputs].reshape(shape)


def nm_mask(scores: Tensor, *, keep: int, out_of: int) -> Tensor:
    """Keep the ``keep`` highest of each ``out_of`` neighbouring input channels.

    Ties are removed in index order. A last run that is shorter than ``out_of`` keeps at most
    ``keep``.

    Args:
        scores: ``(O, I/G, K...)``.
        keep: N, the number kept.
        out_of: M.
    """
    outputs, inputs, kernel = _dims(scores.shape)
    runs_OKI = scores.reshape(outputs, inputs, kernel).transpose(1, 2)
    short = -inputs % out_of
    # Padding is lower than any score and comes first among the removed.
    padded = F.pad(runs_OKI.to(torch.float64), (0, short), value=-torch.inf)
    runs = padded.reshape(outputs, kernel, -1, out_of)
    order = torch.argsort(runs, dim=-1, stable=True)
    mask = torch.ones_like(runs, dtype=torch.bool)
    mask.scatter_(-1, order[..., : out_of - keep], False)
    flat = mask.reshape(outputs, kernel, -1)[..., :inputs]
    return flat.transpose(1, 2).reshape(scores.shape)


def in_units(granularity: Granularity, tensor: Tensor) -> Tensor:
    """Return a tensor of a weight's shape ``(O, I/G, K...)`` unit by unit.

    Args:
        granularity: ``element``, ``block:NxM`` or ``n:m``, whose units are single weights.
        tensor: Weight, gradient or scores.

    Returns:
        ``(units, size)``, units in the order of `unit_scores`; zeros where a last block is smaller.
    """
    _require_element_like(granularity)
    if granularity.kind != "block":
        return tensor.reshape(-1, 1)
    blocks = _blocks(granularity, tensor)
    return blocks.permute(0, 2, 4, 1, 3).reshape(-1, granularity.rows * granularity.columns)


def from_units(
    granularity: Granularity, units: Tensor, shape: torch.Size | tuple[int, ...]
) -> Tensor:
    """Return what `in_units` was given, of the weight's ``shape``."""
    _require_element_like(granularity)
    if granularity.kind != "block":
        return units.reshape(shape)
    outputs, inputs, kernel = _dims(shape)
    rows, columns = granularity.rows, granularity.columns
    high, wide = -(-outputs // rows), -(-inputs // columns)
    blocks = units.reshape(high, wide, kernel, rows, columns).permute(0, 3, 1, 4, 2)
    whole = blocks.reshape(high * rows, wide * columns, kernel)
    return whole[:outputs, :inputs].reshape(shape)


def _block_sums(granularity: Granularity, scores: Tensor) -> Tensor:
    return _blocks(granularity, scores).sum((1, 3))


def _blocks(granularity: Granularity, tensor: Tensor) -> Tensor:
    """Return ``(ceil(O/N), N, ceil(I/M), M, K)``, zero padded."""
    outputs, inputs, kernel = _dims(tensor.shape)
    rows, columns = granularity.rows, granularity.columns
    padded = F.pad(
        tensor.reshape(outputs, inputs, kernel),
        (0, 0, 0, -inputs % columns, 0, -outputs % rows),
    )
    return padded.reshape(
        padded.shape[0] // rows, rows, padded.shape[1] // columns, columns, kernel
    )


def _dims(shape: torch.Size | tuple[int, ...]) -> tuple[int, int, int]:
    outputs, inputs, *kernel = shape
    return outputs, inputs, math.prod(kernel)


def _require_element_like(granularity: Granularity) -> None:
    if granularity.is_structured:
        raise UnsupportedError(
            f"granularity {granularity} works on groups of layers, not on one weight"
        )
