"""What layers do together that were pruned one by one, told by what each changes in the outputs.

A change has two parts. Pruning makes the outputs ``z`` of the samples smaller, by a share ``a`` of
themselves, and moves them by what is left:

    change_i = -a_i z + rest_i,    a_i = -<change_i, z> / <z, z>

Small changes add up. Shares do not: what one layer took is not there for the next one to take, and
what a layer moves is made smaller by the others as well:

    together = prod_i (1 - a_i) z + gain * sum_i prod_{j != i} (1 - a_j) rest_i

Outputs are taken relative to their mean over the classes, which decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

# A change that makes outputs still larger is none that holds beside others.
LEAST_SHARE = -0.5


def together(dense: Tensor, changes: Sequence[Tensor], gains: Sequence[float]) -> Iterator[Tensor]:
    """Yield the outputs that are expected of layers pruned together, ``(N, K)``.

    Args:
        dense: Outputs of the dense model, ``(N, K)``.
        changes: What each layer alone adds to them, ``(N, K)`` each.
        gains: How much larger than their sum the changes that move outputs turn out to be.
    """
    outputs = centred(dense)
    left, moved = 1.0, torch.zeros_like(outputs)
    # Layer by layer: what the ones before moved is made smaller, what they left is moved.
    for share, rest in _parts(outputs, changes):
        moved = (1 - share) * moved + left * rest
        left *= 1 - share
    for gain in gains:
        yield left * outputs + gain * moved


def coherence(dense: Tensor, changes: Sequence[Tensor]) -> float:
    """Return how far changes move outputs the same way: 1 if they have nothing to do with it.

    The square size of all that they move together over the sum of the square sizes: below 1 where
    they cancel, as many as there are changes where all are the same, and 1 where nothing moves.

    Args:
        dense: Outputs of the dense model, ``(N, K)``.
        changes: What each layer alone adds to them, ``(N, K)`` each.
    """
    outputs = centred(dense)
    moved, apart = torch.zeros_like(outputs), 0.0
    for _, rest in _parts(outputs, changes):
        moved += rest
        apart += float(rest.square().sum())
    return float(moved.square().sum()) / apart if apart else 1.0


def _parts(outputs: Tensor, changes: Sequence[Tensor]) -> Iterator[tuple[float, Tensor]]:
    """Yield by which share each change makes outputs smaller, and what it moves."""
    size = outputs.square().sum().clamp_min(1e-12)
    for change in map(centred, changes):
        share = float((-(change * outputs).sum() / size).clamp(LEAST_SHARE, 1.0))
        yield share, change + share * outputs


def centred(outputs: Tensor) -> Tensor:
    """Return outputs relative to their mean over the classes."""
    return outputs - outputs.mean(-1, keepdim=True)
