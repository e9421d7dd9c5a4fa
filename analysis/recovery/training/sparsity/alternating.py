"""Dense and compressed training take turns: AC/DC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from analysis.recovery.training.sparsity.moving import MovingMasks, mask_at
from analysis.recovery.training.sparsity.scoring import current_scores
from pruners.schedules import Phase, acdc_phase

if TYPE_CHECKING:
    from analysis.recovery.training.method import Context
    from analysis.recovery.training.recipe import TrainingRecipe

# Running means of gradients in the optimizers' states; those of squares only scale steps.
_MOMENTS = ("momentum_buffer", "exp_avg")


def phase_at(recipe: TrainingRecipe, step: int, *, steps: int, steps_per_epoch: int) -> Phase:
    """Return the phase of a step: dense first; compressed in the last before ``end``, and after.

    Args:
        recipe: Length of the phases, and between which shares of the steps they alternate.
        step: Optimizer step, counted from 0.
        steps: Of the whole training.
        steps_per_epoch: Steps an epoch.
    """
    length = max(1, round(recipe.phase_epochs * steps_per_epoch))
    start = min(round(recipe.begin * steps), steps - 1)
    end = max(round(recipe.end * steps), start + 1)
    return acdc_phase(step, start=start, end=end, frequency=length)


class AlternatingMasks(MovingMasks):
    """Compress, train, decompress, train; compressed in the end.

    At the start of each compressed phase each entry keeps as many units as the plan says, those
    with the highest scores by its criterion (``l1``: the largest weights, as in the paper). The
    paper ranks all layers together; a plan by the strategy ``global`` has such counts.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._last = self._last_change()

    def moves_after(self, step: int) -> bool:
        """Return whether another phase is to come, or `finish` will have to compress."""
        return step < self._last

    def before_forward(self, step: int) -> None:
        """Change phases where it is time."""
        before = "dense" if step == 0 else self._phase(step - 1)
        now = self._phase(step)
        if now == before:
            return
        if now == "compressed":
            self.move(self._compressed())
        else:
            self._decompress()

    def _last_change(self) -> int:
        """Return the first step of the last compressed phase; the number of steps without one."""
        steps = self.context.steps
        first = steps
        while first and self._phase(first - 1) == "compressed":
            first -= 1
        return first

    def _phase(self, step: int) -> Phase:
        context = self.context
        return phase_at(
            context.recipe,
            step,
            steps=context.steps,
            steps_per_epoch=context.steps_per_epoch,
        )

    def _decompress(self) -> None:
        trainee = self.context.trainee
        returning = {name: ~mask for name, mask in trainee.parameter_masks.items()}
        for name, lost in returning.items():
            state = self.context.optimizer.state.get(trainee.model.get_parameter(name), {})
            for moment in _MOMENTS:
                # What a weight was moved by before it was removed is of no use to it now.
                if isinstance(state.get(moment), Tensor):
                    state[moment].masked_fill_(lost, 0)
        self.move(
            {
                self.key(item): torch.ones_like(trainee.masks[self.key(item)])
                for item in self.targets
            }
        )

    def _compressed(self) -> dict[str, Tensor]:
        """Return the masks of a compressed phase."""
        scores = current_scores(self.context, self.targets)
        return {
            self.key(item): mask_at(item, scores[self.key(item)], kept=self.kept(item), done=1.0)
            for item in self.targets
        }

    def finish(self) -> None:
        """Compress, if the training ended in its first dense phase."""
        masks = self.context.trainee.masks
        if all(bool(masks[self.key(target)].all()) for target in self.targets):
            self.move(self._compressed())
