"""Criteria of whole branches and layers, and how others score them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pruners.criteria.registry import DEPTH, Level, criterion
from pruners.errors import UnsupportedError
from pruners.float32 import strict
from pruners.statistics import LayerData

if TYPE_CHECKING:
    from pruners.groups import Group


@criterion(
    "block_influence",
    label="Block influence",
    citation="Men et al.: ShortGPT: Layers in Large Language Models are More Redundant Than You "
    "Expect. 2024, arXiv:2403.03853, equation 1",
    formula="1 - E[cos(h_before, h_after)], h what goes into and comes out of the residual sum",
    help="Branches and layers that hardly turn what passes by them go first. Needs only forward "
    "passes.",
    needs={"block_influence"},
    granularities=DEPTH,
    cost="forward",
    normalizer="none",
)
def block_influence(data: LayerData, *, level: Level) -> Tensor:
    """Score by how much the residual stream turns."""
    return data.statistics["block_influence"]


@strict
def depth_score(group: Group, score: Callable[[str], Tensor]) -> Tensor:
    """Return the score ``(1,)`` of a branch or layer: the sum of all that its layers score.

    Args:
        group: One of `pruners.groups.Structure.depth`.
        score: Returns the scores of a layer's channels or elements; what a criterion cannot score
            it refuses, and that layer is left out.

    Raises:
        UnsupportedError: Every layer was refused; the last refusal.
    """
    found: list[Tensor] = []
    reason: UnsupportedError | None = None
    for layer in dict.fromkeys(name for branch in group.branches for name in branch.layers):
        try:
            found.append(score(layer).double().sum().cpu())
        except UnsupportedError as error:
            reason = error
    if not found and reason is not None:
        raise UnsupportedError(str(reason))
    return torch.stack(found).sum().reshape(1)
