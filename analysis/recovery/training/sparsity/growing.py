"""Masks that grow: a part of what the plan removes at a time, scored anew each time."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from analysis.edits import Target
from analysis.recovery.training.sparsity.moving import MovingMasks, mask_at
from analysis.recovery.training.sparsity.scoring import current_scores
from pruners.schedules import ratio_at

if TYPE_CHECKING:
    from analysis.recovery.training.method import Context
    from analysis.recovery.training.recipe import TrainingRecipe


def move_steps(recipe: TrainingRecipe, steps: int) -> dict[int, float]:
    """Return the steps before which masks move, rising, with the progress of the schedule, 0..1.

    The last one has progress 1 and is a step of the training, so that what is left is trained.

    Args:
        recipe: Says from where to where masks move, and how often.
        steps: Optimizer steps of the whole training.
    """
    first = min(round(recipe.begin * steps), steps - 1)
    last = min(round(recipe.end * steps), steps - 1)
    places = range(recipe.updates + 1)
    # Where there are fewer steps than moves, the last of those that fall on a step counts.
    found = {
        first + round(place / recipe.updates * (last - first)): place / recipe.updates
        for place in places
    }
    return {step: 1.0 if step == last else done for step, done in found.items()}


class GrowingMasks(MovingMasks):
    """Prune more and more by a schedule; each entry of the plan by its own criterion.

    What is removed stays removed, unless the recipe lets it regrow: then weights that are masked
    are scored by the values that they had, and return with them.

    Args:
        context: The training.
        schedule: One of `pruners.schedules.SCHEDULES`.
        cycles: Let the rate fall to 0 between two moves of the masks, and begin anew.
    """

    def __init__(self, context: Context, schedule: str, *, cycles: bool = False) -> None:
        super().__init__(context, hides=context.recipe.regrow)
        self._schedule, self._cycles = schedule, cycles
        self.moves = move_steps(context.recipe, context.steps)

    def moves_after(self, step: int) -> bool:
        """Return whether masks move once more."""
        return step < max(self.moves)

    def before_forward(self, step: int) -> None:
        """Move masks where it is time."""
        if step in self.moves:
            self.prune(self.moves[step])

    def rate(self, step: int, rate: float) -> float:
        """Return the schedule's rate, or its part that is left of a cycle."""
        return rate * self._left_of_cycle(step) if self._cycles else rate

    def _left_of_cycle(self, step: int) -> float:
        """Return what is left of the time from one move of the masks to the next, 1 down to 0."""
        starts = [0, *(item for item in self.moves if item > 0)]
        place = bisect_right(starts, step)
        end = starts[place] if place < len(starts) else self.context.steps
        return (end - step) / (end - starts[place - 1])

    def prune(self, progress: float) -> None:
        """Set masks to where the schedule is.

        Args:
            progress: Progress of the schedule, 0..1.
        """
        shares = {self.key(target): self.done(target, progress) for target in self.targets}
        if not any(shares.values()):
            return
        self.move(
            {
                self.key(target): mask_at(
                    target, scores, kept=self.kept(target), done=shares[self.key(target)]
                )
                for target, scores in self.scored()
            }
        )

    def scored(self) -> list[tuple[Target, Tensor]]:
        """Return the targets with the scores of now; what is gone for good comes last."""
        if self.context.recipe.regrow:
            with self.revealed():
                found = current_scores(self.context, self.targets)
            return [(target, found[self.key(target)]) for target in self.targets]
        masks = self.context.trainee.masks
        found = current_scores(self.context, self.targets)
        return [
            (target, nested(found[self.key(target)], masks[self.key(target)]))
            for target in self.targets
        ]

    def done(self, target: Target, progress: float) -> float:
        """Return the share of a target's final ratio that the schedule asks for."""
        final = (target.total - self.kept(target)) / target.total
        initial = min(self.context.recipe.initial_ratio, final)
        rounds = self.context.recipe.updates
        ratio = ratio_at(self._schedule, progress, final=final, initial=initial, rounds=rounds)
        return 1.0 if progress >= 1 else ratio / final

    def finish(self) -> None:
        """Prune what is left to prune, if the training ended before."""
        if self.ratio < 1:
            self.prune(1.0)


def nested(scores: Tensor, mask: Tensor) -> Tensor:
    """Return scores by which nothing that a mask removed comes back."""
    return scores.masked_fill(~mask.to(scores.device), -torch.inf)
