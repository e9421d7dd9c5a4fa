"""One score per unit of a group, from the scores of all layers that produce its channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pruners.errors import UnsupportedError
from pruners.float32 import strict
from pruners.reductions import REDUCTIONS

if TYPE_CHECKING:
    from pruners.groups import Group


@strict
def group_scores(
    group: Group,
    layer_scores: Mapping[str, Tensor],
    *,
    reduction: str = "mean",
    scaled: bool = True,
) -> Tensor:
    """Score the units of a group.

    For each producer, rows that share a unit are summed and the result is divided by the mean of
    its magnitude, which makes layers of different scale comparable and keeps the order of scores
    that may be negative. Then the producers are reduced. A producer that the criterion could not
    score (absent from ``layer_scores``) is left out. Filters of depthwise convolutions count where
    the reduction says so.

    Args:
        group: The group; its rows map output channels to units.
        layer_scores: Channel scores ``(O,)`` by layer name.
        reduction: One of `pruners.reductions.REDUCTIONS`.
        scaled: False leaves the scores of the layers as they are: for criteria that mean the same
            in each layer, whose groups are to be compared with each other.

    Returns:
        Scores ``(units,)``, float32 or wider.

    Raises:
        UnknownNameError: No such reduction.
        UnsupportedError: No producer of the group has scores, or a unit has none.
    """
    chosen = REDUCTIONS.get(reduction)
    rows = [
        _unit_scores(layer_scores[rows.layer], rows.index, group.units, scaled=scaled)
        for rows in group.rows
        if rows.layer in layer_scores and (chosen.counts_filters or not rows.is_depthwise)
    ]
    if not rows:
        raise UnsupportedError(f"group {group.id}: no layer that produces its channels has scores")
    stacked = torch.stack(rows)
    if bool(torch.isnan(stacked).all(0).any()):
        raise UnsupportedError(f"group {group.id}: the layers with scores do not cover all units")
    return chosen.fn(stacked)


def producer_scores(
    group: Group, score: Callable[[str], Tensor], *, reduction: str = "mean"
) -> dict[str, Tensor]:
    """Return the channel scores of the layers that a group is scored by, by layer name.

    Args:
        group: The group.
        score: Scores a layer's channels; what a criterion cannot score it refuses, and that layer
            is left out.
        reduction: One of `pruners.reductions.REDUCTIONS`.

    Raises:
        UnsupportedError: Every layer was refused; the last refusal.
    """
    found: dict[str, Tensor] = {}
    reason: UnsupportedError | None = None
    filters = REDUCTIONS.get(reduction).counts_filters
    layers = [rows.layer for rows in group.rows if filters or not rows.is_depthwise]
    for layer in dict.fromkeys(layers):
        try:
            found[layer] = score(layer)
        except UnsupportedError as error:
            reason = error
    if not found and reason is not None:
        raise UnsupportedError(str(reason))
    return found


def _unit_scores(scores: Tensor, index: Tensor, units: int, *, scaled: bool) -> Tensor:
    """Return ``(units,)`` with NaN for units that the layer does not produce."""
    index = index.to(scores.device)
    inside = index >= 0
    wide = scores if scores.dtype == torch.float64 else scores.float()
    total = wide.new_zeros(units).index_add_(0, index[inside], wide[inside])
    covered = torch.zeros(units, dtype=torch.bool, device=scores.device)
    covered[index[inside]] = True
    scale = total[covered].abs().mean()
    if scaled and float(scale) > 0:
        total = total / scale
    return torch.where(covered, total, torch.nan)
