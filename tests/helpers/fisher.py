"""The loss that a mask search lowers."""

from __future__ import annotations

from torch import Tensor


def fisher_loss(gradients: Tensor, mask: Tensor) -> float:
    """Return ``1/2 (1 - m)' F (1 - m)`` with F the empirical Fisher information of the gates."""
    removed = (~mask).double()
    total = gradients.double() @ removed
    return 0.5 * float(total.square().mean())
