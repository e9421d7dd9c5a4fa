"""Global ranking: one threshold over all layers or groups instead of a ratio for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pruners.errors import InputError, UnknownNameError
from pruners.selection.masks import num_removed


def _lamp(scores: Tensor) -> Tensor:
    """Divide each squared score by the sum of the squares that would outlive it."""
    squares, order = torch.sort(scores.square(), stable=True)
    outliving = squares.flip(0).cumsum(0).flip(0)
    ratio = torch.where(outliving > 0, squares / outliving, 0.0)
    return torch.empty_like(ratio).index_copy_(0, order, ratio)


def _divided(scores: Tensor, scale: Tensor) -> Tensor:
    return scores / scale if float(scale) > 0 else scores


_NORMALIZERS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda scores: scores,
    "mean": lambda scores: _divided(scores, scores.abs().mean()),
    "sum": lambda scores: _divided(scores, scores.abs().sum()),
    "max": lambda scores: _divided(scores, scores.abs().amax()),
    "l2": lambda scores: _divided(scores, scores.square().sum().sqrt()),
    "lamp": _lamp,
}
NORMALIZERS = tuple(_NORMALIZERS)
NORMALIZER_HELP = {
    "none": "scores as they are, those of coupled layers too: for criteria that mean the same in "
    "each layer (a change of the loss: Taylor, SNIP, Fisher, OBS) and for LAMP",
    "mean": "each layer's scores divided by their mean",
    "sum": "each layer's scores divided by their sum: large layers lose more",
    "max": "each layer's scores divided by the largest",
    "l2": "each layer's scores divided by their Euclidean norm, as in NNCF",
    "lamp": "squared score / sum of the squares that would outlive it (LAMP, Lee et al. 2021)",
}


def normalize(scores: Tensor, *, normalizer: str) -> Tensor:
    """Return one layer's scores on a scale that compares with other layers, in float64.

    Raises:
        UnknownNameError: No such normaliser.
    """
    if normalizer not in _NORMALIZERS:
        raise UnknownNameError("normalizer", normalizer, _NORMALIZERS)
    return _NORMALIZERS[normalizer](scores.reshape(-1).double()).reshape(scores.shape)


def global_masks(
    scores: Mapping[str, Tensor],
    ratio: float,
    *,
    normalizer: str = "mean",
    keep_one: bool,
) -> dict[str, Tensor]:
    """Keep the highest scores of all layers together.

    Exactly ``floor(ratio * total + 0.5)`` units of all layers go, ties in the order of the
    layers; where one unit of each layer stays, the next ones go instead of it, as long as there
    are any.

    Args:
        scores: Unit scores by layer or group, any shapes.
        ratio: Fraction removed of all units, 0..1.
        normalizer: How layers are made comparable, one of `NORMALIZERS`.
        keep_one: One unit of each layer always stays (channels and heads).

    Returns:
        Masks of the scores' shapes, True = keep.

    Raises:
        InputError: No layers, or a ratio outside 0..1.
        UnknownNameError: No such normaliser.
    """
    if not scores:
        raise InputError("global ranking needs the scores of at least one layer")
    flat = {
        name: normalize(item, normalizer=normalizer).reshape(-1) for name, item in scores.items()
    }
    joined = torch.cat(list(flat.values()))
    if bool(torch.isnan(joined).any()):
        raise InputError("scores contain NaN, so no order of importance exists")
    may_go = torch.ones_like(joined, dtype=torch.bool)
    if keep_one:
        start = 0
        for item in flat.values():
            # The last one in stable order is the one that local ranking would keep.
            may_go[start + int(torch.argsort(item, stable=True)[-1])] = False
            start += len(item)
    order = torch.argsort(joined, stable=True)
    order = order[may_go[order]]
    mask = torch.ones_like(may_go)
    mask[order[: num_removed(ratio, len(joined), keep_one=False)]] = False
    parts = torch.split(mask, [len(item) for item in flat.values()])
    return {
        name: part.reshape(item.shape)
        for (name, item), part in zip(scores.items(), parts, strict=True)
    }
