"""Weights removed by the curvature of the loss, and made up for: oBERT."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from analysis.edits import Target
from analysis.recovery.training.sparsity.growing import GrowingMasks, nested
from analysis.recovery.training.sparsity.moving import mask_at, parameter_name
from analysis.recovery.training.sparsity.scoring import sample_batches
from pruners.granularity import parse
from pruners.layers import (
    find_layer,
    native_weight,
    output_first_weight,
    to_native,
    to_output_first,
)
from pruners.preserve import preserved
from pruners.reconstruction import FisherSum, fisher_saliency, fisher_update
from pruners.selection import from_units, in_units

if TYPE_CHECKING:
    from analysis.recovery.training.method import Context


class SurgeonMasks(GrowingMasks):
    """Prune by the empirical Fisher information, by a cubic schedule.

    Before each move the gradients of single training samples give the information in blocks. What
    costs least after the others of its block make up for it goes, and they do. The rate rises anew
    after each move. Scores are the method's own; those of the plan's criterion count only for what
    the plan keeps of each layer.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context, "cubic")

    def rate(self, step: int, rate: float) -> float:
        """Return the schedule's rate, or what of it is reached after a move."""
        starts = list(self.moves)
        place = bisect_right(starts, step)
        if place == 0:
            return rate
        end = starts[place] if place < len(starts) else self.context.steps
        rising = round(self.context.recipe.warm_up * (end - starts[place - 1]))
        return rate * min(1.0, (step - starts[place - 1] + 1) / (rising + 1))

    @torch.no_grad()
    def prune(self, progress: float) -> None:
        """Remove what the schedule asks for, and let the rest make up for it."""
        shares = {self.key(target): self.done(target, progress) for target in self.targets}
        if not any(shares.values()):
            return
        masks = {}
        for target, fisher in self._information().items():
            masks[self.key(target)] = self._operate(target, fisher, shares[self.key(target)])
        self.move(masks)

    def _operate(self, target: Target, fisher: Tensor, done: float) -> Tensor:
        """Choose what goes of a layer, change the weights that stay, return the mask."""
        granularity = parse(target.granularity)
        module = find_layer(self.context.trainee.model, target.layer)
        weight = output_first_weight(module, name=target.layer)
        rows = in_units(granularity, weight)
        scores = self.spread(target, fisher_saliency(rows, fisher))
        before = self.context.trainee.masks[self.key(target)]
        mask = mask_at(target, nested(scores, before), kept=self.kept(target), done=done)
        keep = in_units(granularity, mask).any(1)
        new = from_units(granularity, fisher_update(rows, fisher, keep), weight.shape)
        native_weight(module, name=target.layer).copy_(to_native(new, module))
        return mask

    def _information(self) -> dict[Target, Tensor]:
        """Return the damped Fisher information of each target, in blocks of its units."""
        context = self.context
        trainee, recipe = context.trainee, context.recipe
        task = trainee.prepared.subject.task
        generator = torch.Generator().manual_seed(context.seed)
        modules = {item: find_layer(trainee.model, item.layer) for item in self.targets}
        names = {item: parameter_name(module, item.layer) for item, module in modules.items()}
        weights = [native_weight(modules[item], name=item.layer) for item in self.targets]
        sums = {item: FisherSum(block=recipe.block) for item in self.targets}
        with preserved(trainee.model), torch.enable_grad():
            trainee.model.eval()
            for inputs, labels in sample_batches(context, recipe.gradients, 1):
                outputs = trainee.model(inputs)
                truth = task.drawn(outputs.detach(), generator) if labels is None else labels
                found = torch.autograd.grad(task.loss(outputs, truth), weights)
                for target, gradient in zip(self.targets, found, strict=True):
                    alive = gradient * trainee.parameter_masks[names[target]]
                    first = to_output_first(alive, modules[target])
                    sums[target].add(in_units(parse(target.granularity), first))
        return {item: total.damped(recipe.damp) for item, total in sums.items()}
