"""How the scores of the layers of a group become one score a channel."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruners.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Reduction:
    """A registered reduction.

    Attributes:
        name: Name on the command line and in plans.
        label: Name on pages.
        help: What it does, in plain words.
        fn: Maps scores ``(layers, units)``, NaN where a layer does not produce a unit, to
            ``(units,)``.
        counts_filters: Whether depthwise convolutions count that filter the channels, beside the
            layers that make them.
    """

    name: str
    label: str
    help: str
    fn: Callable[[Tensor], Tensor]
    counts_filters: bool = False


def _first(stacked: Tensor) -> Tensor:
    """Take each unit's score from the first producer that has one."""
    order = stacked.isnan().char().argmin(dim=0)
    return stacked.gather(0, order[None])[0]


REDUCTIONS = Registry(
    "reduction",
    (
        Reduction(
            "mean",
            "Mean",
            "mean of the member layers, each divided by its own mean score (default)",
            lambda stacked: stacked.nanmean(dim=0),
        ),
        Reduction(
            "sum",
            "Sum",
            "sum of the member layers, each divided by its own mean score",
            lambda stacked: stacked.nansum(dim=0),
        ),
        Reduction(
            "max",
            "Largest",
            "a channel counts as important if any member layer says so",
            lambda stacked: stacked.nan_to_num(nan=-math.inf).amax(0),
        ),
        Reduction(
            "min",
            "Smallest",
            "a channel counts as unimportant if any member layer says so",
            lambda stacked: stacked.nan_to_num(nan=math.inf).amin(0),
        ),
        Reduction(
            "filters",
            "Mean with filters",
            "as mean, and depthwise convolutions that filter the channels count as layers, too",
            lambda stacked: stacked.nanmean(dim=0),
            counts_filters=True,
        ),
        Reduction("first", "First layer", "only the first producing layer decides", _first),
    ),
)
