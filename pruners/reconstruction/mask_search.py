"""Retrain-free mask search: choose the units to remove with the interactions between them.

Shape suffixes: ``N`` calibration samples, ``U`` units.
"""

from __future__ import annotations

from torch import Tensor

from pruners.errors import InputError
from pruners.float32 import strict
from pruners.selection import keep_mask

MAX_ROUNDS = 3


@strict
def search_mask(gradients: Tensor, kept: int, *, rounds: int = MAX_ROUNDS) -> Tensor:
    """Return the mask with the least Fisher loss that swaps of one unit find.

    Starts from the diagonal Fisher information (the lowest go), then rearranges at a constant
    count: each kept unit in turn joins the removed ones, and the one among them whose return
    leaves the smallest ``||sum of the removed units' gradients||^2`` comes back. The loss never
    rises; a round without a swap ends the search.

    Args:
        gradients: Each sample's derivative by a gate on each unit, ``(N, U)``.
        kept: Number of units that stay, 0..U.
        rounds: Passes over the units.

    Returns:
        Boolean ``(U,)``, True = keep.

    Raises:
        InputError: ``kept`` is out of range or there are no samples.

    References:
        Kwon et al.: A Fast Post-Training Pruning Framework for Transformers. NeurIPS 2022,
        arXiv:2204.09656, section 4.2 (mask search and rearrangement).
    """
    if gradients.dim() != 2 or not len(gradients):
        raise InputError("mask search needs the gate gradients of at least one sample")
    fisher = gradients.double().T @ gradients.double()
    mask = keep_mask(fisher.diagonal(), kept)
    for _ in range(rounds):
        if not _rearrange(fisher, mask):
            break
    return mask


def _rearrange(fisher: Tensor, mask: Tensor) -> bool:
    """Try each kept unit once; change ``mask`` in place; return whether anything changed."""
    changed = False
    # 1/2 d' F d for the removed set d; `pull` is F d, updated with each swap.
    pull = fisher @ (~mask).double()
    diagonal = fisher.diagonal()
    for unit in mask.nonzero()[:, 0].tolist():
        removed = (~mask).nonzero()[:, 0]
        if not len(removed):
            return False
        joined = pull + fisher[:, unit]
        # Loss change if `unit` joins and r returns, for each r; 0 if nothing is swapped.
        change = 2 * pull[unit] + diagonal[unit] - 2 * joined[removed] + diagonal[removed]
        best = int(change.argmin())
        if float(change[best]) < -1e-12 * float(diagonal.sum()):
            back = int(removed[best])
            mask[unit], mask[back] = False, True
            pull = joined - fisher[:, back]
            changed = True
    return changed


def unit_gate_gradients(layer_gradients: Tensor, index: Tensor, units: int) -> Tensor:
    """Sum the gate gradients of a layer's channels over the units of its group.

    Args:
        layer_gradients: ``(N, C)``.
        index: int64 ``(C,)`` or a period of it, the unit of each channel, -1 = not in the group; on
            any device.
        units: Number of units.

    Returns:
        ``(N, units)``.
    """
    # A grouped convolution reads the same units in each of its groups.
    index = index.to(layer_gradients.device).repeat(layer_gradients.shape[1] // len(index))
    inside = index >= 0
    total = layer_gradients.new_zeros(len(layer_gradients), units)
    return total.index_add_(1, index[inside], layer_gradients[:, inside])
