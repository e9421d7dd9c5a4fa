"""Global ranking: one threshold over all layers or groups instead of a ratio for each."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pruners.errors import InputError
from pruners.normalizers import normalize
from pruners.selection.masks import num_removed


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
        normalizer: How layers are made comparable, one of
            `pruners.normalizers.NORMALIZERS`.
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
