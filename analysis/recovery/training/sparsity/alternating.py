"""Dense and compressed training take turns: AC/DC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from analysis.edits import Target
from analysis.recovery.training.sparsity.moving import MovingMasks, mask_at
from analysis.recovery.training.sparsity.scoring import criteria_of, current_scores
from pruners.criteria import CRITERIA
from pruners.granularity import parse
from pruners.schedules import Phase, acdc_phase
from pruners.selection import expand, global_masks, unit_scores

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

    At the start of each compressed phase the units with the largest weights of all layers together
    stay, so that a layer may keep more or fewer than its entry of the plan says; the sum is the
    plan's. Elements and blocks are ranked by mean magnitude, channels and heads by the criterion of
    their entries. Entries that are locked, and N:M, keep their own numbers.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._locked = {
            (entry.granularity, entry.name)
            for entry in context.trainee.plan.entries
            if entry.locked
        }
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
        own = [item for item in self.targets if self._keeps_its_number(item)]
        found = current_scores(self.context, own) if own else {}
        masks = {
            self.key(item): mask_at(item, found[self.key(item)], kept=self.kept(item), done=1.0)
            for item in own
        }
        ranked = [item for item in self.targets if item not in own]
        for granularity in dict.fromkeys(item.granularity for item in ranked):
            masks |= self._ranked([item for item in ranked if item.granularity == granularity])
        return masks

    def _keeps_its_number(self, target: Target) -> bool:
        is_locked = (target.granularity, target.name) in self._locked
        return is_locked or parse(target.granularity).kind == "n:m"

    def _ranked(self, targets: list[Target]) -> dict[str, Tensor]:
        """Return masks that keep the largest scores of targets of one granularity together."""
        granularity = parse(targets[0].granularity)
        normalizer = self._normalizer(targets) if granularity.is_structured else "none"
        scores = current_scores(
            self.context,
            targets,
            criterion=None if granularity.is_structured else "l1",
            scaled=normalizer != "none",
        )
        units = {
            name: found.cpu() if granularity.is_structured else unit_scores(granularity, found)
            for name, found in scores.items()
        }
        total = sum(target.total for target in targets)
        kept = sum(self.kept(target) for target in targets)
        masks = global_masks(
            units,
            (total - kept) / total,
            normalizer=normalizer,
            keep_one=granularity.keep_one,
        )
        if granularity.is_structured:
            return masks
        return {name: expand(granularity, mask, scores[name].shape) for name, mask in masks.items()}

    def _normalizer(self, targets: list[Target]) -> str:
        """Return how groups are compared: as their one criterion says, else by the mean."""
        own = criteria_of(self.context)
        criteria = {own[target.granularity, target.name] for target in targets}
        return CRITERIA.get(criteria.pop()).normalizer if len(criteria) == 1 else "mean"

    def finish(self) -> None:
        """Compress, if the training ended in its first dense phase."""
        masks = self.context.trainee.masks
        if all(bool(masks[self.key(target)].all()) for target in self.targets):
            self.move(self._compressed())
