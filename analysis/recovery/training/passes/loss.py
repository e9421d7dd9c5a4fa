"""What training lowers: the task's loss, and the divergence from the dense model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.tasks import Task
from pruners.batches import Inputs


def weight_of_dense(task: Task, distill: float) -> float:
    """Return the weight of the dense model's answers, of 1 where the task has no other targets."""
    return distill if task.takes_targets else 1.0


@dataclass(frozen=True, slots=True)
class LossParts:
    """The loss of a batch, each a mean over samples.

    Attributes:
        total: What gradients are taken of.
        task: The task's loss, without gradients.
        distill: The divergence from the dense model times the squared temperature, without
            gradients; None where nothing is distilled.
    """

    total: Tensor
    task: Tensor
    distill: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingLoss:
    """The loss of outputs.

    Attributes:
        task: Says what is lost.
        smoothing: Share of each target that is spread over all classes.
        alpha: Weight of the distillation; 0 never runs the dense model.
        temperature: Of both models' outputs there.
        dense: The dense model in eval mode.
    """

    task: Task
    smoothing: float = 0.0
    alpha: float = 0.0
    temperature: float = 1.0
    dense: nn.Module

    def __call__(self, outputs: Tensor, inputs: Inputs, targets: Tensor | None) -> LossParts:
        """Return the loss of a batch.

        Args:
            outputs: Of the trained model ``(N, ...)``.
            inputs: What it was given.
            targets: What the data says; None without labels, where only distillation is left.
        """
        task = outputs.new_zeros((), dtype=torch.float32)
        if targets is not None:
            task = self._smoothed(outputs, targets)
        if self.alpha == 0:
            return LossParts(task, task.detach())
        with torch.no_grad():
            dense = self.dense(inputs)
        distill = self.task.distillation(outputs, dense, temperature=self.temperature)
        total = distill if self.alpha == 1 else (1 - self.alpha) * task + self.alpha * distill
        return LossParts(total, task.detach(), distill.detach())

    def _smoothed(self, outputs: Tensor, targets: Tensor) -> Tensor:
        loss = self.task.loss(outputs, targets)
        if self.smoothing == 0:
            return loss
        spread = -F.log_softmax(outputs.float(), 1).mean()
        return (1 - self.smoothing) * loss + self.smoothing * spread
