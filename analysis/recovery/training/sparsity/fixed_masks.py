"""Masks that never change: all is pruned before the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.recovery.training.method import Sparsity

if TYPE_CHECKING:
    from analysis.recovery.training.method import Context


class FixedMasks(Sparsity):
    """Train with the masks of the plan."""

    def __init__(self, context: Context) -> None:
        self._trainee = context.trainee

    @property
    def ratio(self) -> float:
        """All that the plan prunes is pruned."""
        return 1.0

    def before_step(self, step: int) -> None:
        """Keep the optimizer from what is pruned."""
        self._trainee.mask_gradients()

    def after_step(self, step: int) -> None:
        """Keep zeros zero."""
        self._trainee.mask_weights()
