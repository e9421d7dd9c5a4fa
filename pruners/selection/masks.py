"""Masks with an exact number of kept entries. True means keep."""

from __future__ import annotations

import torch
from torch import Tensor

from pruners.errors import InputError
from pruners.granularity import HALF_UP, ROUNDINGS


def num_removed(ratio: float, total: int, *, keep_one: bool, rounding: str = HALF_UP) -> int:
    """Return how many of ``total`` units a ratio removes: ``floor(ratio * total + 0.5)``.

    Args:
        ratio: Fraction removed of the original, 0..1.
        total: Number of units, at least 1.
        keep_one: One unit always stays (channels and heads).
        rounding: One of `pruners.granularity.ROUNDINGS`.

    Raises:
        UnknownNameError: No such rounding.
        InputError: The ratio is outside 0..1 or there are no units.
    """
    if not 0 <= ratio <= 1:
        raise InputError(f"a ratio is a fraction removed between 0 and 1, found {ratio}")
    if total < 1:
        raise InputError(f"there is nothing to remove: {total} units")
    removed = ROUNDINGS.get(rounding).fn(ratio * total)
    return min(removed, total - 1 if keep_one else total)


def num_kept(ratio: float, total: int, *, keep_one: bool, rounding: str = HALF_UP) -> int:
    """Return how many of ``total`` units stay at a ratio; see `num_removed`.

    >>> num_kept(0.3, 10, keep_one=True), num_kept(1.0, 10, keep_one=True)
    (7, 1)
    """
    return total - num_removed(ratio, total, keep_one=keep_one, rounding=rounding)


def kept_indices(mask: Tensor) -> tuple[int, ...]:
    """Return the places in a mask ``(units,)`` that stay, rising."""
    return tuple(torch.nonzero(mask).flatten().tolist())


def keep_mask(scores: Tensor, kept: int) -> Tensor:
    """Return the mask that keeps exactly ``kept`` entries: the highest scores.

    Ties are removed in index order, so that a smaller ``kept`` always gives a subset.

    >>> keep_mask(torch.tensor([0.5, 2.0, 0.5, 1.0]), kept=3).tolist()
    [False, True, True, True]

    Args:
        scores: Importance, any shape; higher is kept. Must not contain NaN.
        kept: Number of entries that stay, 0..numel.

    Returns:
        Boolean tensor of the scores' shape and device.

    Raises:
        InputError: ``kept`` is out of range or a score is NaN.
    """
    total = scores.numel()
    if not 0 <= kept <= total:
        raise InputError(f"cannot keep {kept} of {total} entries")
    if bool(torch.isnan(scores).any()):
        raise InputError("scores contain NaN, so no order of importance exists")
    mask = torch.ones(total, dtype=torch.bool, device=scores.device)
    if kept < total:
        order = torch.argsort(scores.reshape(-1), stable=True)
        mask[order[: total - kept]] = False
    return mask.reshape(scores.shape)
