"""One layer after the other: pruned, trained, gone on with, as AIMET's guide does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.edits import Target
from analysis.recovery.training.sparsity.moving import MovingMasks, mask_at
from analysis.recovery.training.sparsity.scoring import current_scores
from pruners.errors import InputError

if TYPE_CHECKING:
    from analysis.recovery.training.method import Context


class LayerwiseMasks(MovingMasks):
    """Prune one entry of the plan after another in the order of execution, with steps between.

    The whole network is trained for ``layer_steps`` steps after each; 0 prunes all at once. What is
    pruned before the first step has the masks of the plan; the others are scored when it is their
    turn.

    Raises:
        InputError: The training ends before the last layer's turn.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        order = in_order(context)
        given = context.recipe.layer_steps
        between = context.steps // len(order) if given is None else given
        if between * (len(order) - 1) >= context.steps:
            raise InputError(
                f"{len(order)} layers with {between} steps after each need more than "
                f"{between * (len(order) - 1)} steps; the training has {context.steps}: give it "
                "more, or fewer to each layer (layer_steps)"
            )
        self._turns: dict[int, list[Target]] = {}
        for place, target in enumerate(order):
            self._turns.setdefault(place * between, []).append(target)

    def moves_after(self, step: int) -> bool:
        """Return whether another layer's turn is to come."""
        return step < max(self._turns)

    def before_forward(self, step: int) -> None:
        """Prune the layers whose turn it is."""
        turn = self._turns.get(step, [])
        if turn and step == 0:
            self.move({self.key(target): self.planned[self.key(target)] for target in turn})
        elif turn:
            self._prune(turn)

    def _prune(self, turn: list[Target]) -> None:
        scores = current_scores(self.context, turn)
        self.move(
            {
                self.key(target): mask_at(
                    target, scores[self.key(target)], kept=self.kept(target), done=1.0
                )
                for target in turn
            }
        )


def in_order(context: Context) -> tuple[Target, ...]:
    """Return what the plan prunes in the order of execution."""
    trainee = context.trainee
    order = {layer: place for place, layer in enumerate(trainee.prepared.layers())}
    return tuple(sorted(trainee.targets, key=lambda target: order[target.layer]))
