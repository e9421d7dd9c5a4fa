"""Multi-label classification: each of several labels is there or not."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from analysis.tasks.kinds.adding import SummedTask, checked, reduced
from analysis.tasks.kinds.binary import bernoulli_divergence
from analysis.tasks.kinds.targets import first_of_other_form, zeros_and_ones
from analysis.tasks.meanings import MicroF1
from analysis.tasks.task import Reduction


class MultiLabel(MicroF1, SummedTask):
    """Labels; outputs are logits ``(N, labels)``, yes above 0; targets are 0 and 1."""

    name = "multi_label"

    def check(self, outputs: object, samples: int, *, model: str) -> Tensor:
        """Return logits ``(samples, labels)``; see `Task.check`."""
        return checked(outputs, samples, model=model, form="logits (samples, labels)", dims=(2,))

    def as_targets(self, values: Tensor) -> Tensor | None:
        """Return 0 and 1, float32 ``(N, labels)``."""
        if values.dim() != 2:
            raise ValueError(f"has shape {tuple(values.shape[1:])}; 0 or 1 a label is needed")
        return zeros_and_ones(values)

    def own_targets(self, dense: Tensor) -> Tensor:
        """Return the labels that the dense model gives."""
        return (dense > 0).float()

    def target_problem(self, targets: Tensor, form: tuple[int, ...]) -> tuple[int, str] | None:
        """Return the first sample if there are more or fewer labels than logits."""
        return first_of_other_form(targets, form)

    def no_score(self, targets: Tensor) -> str:
        """Say that there are no labels to be found: F1 would be 0 whatever a model answers."""
        is_empty = not bool((targets > 0).any())
        return "no sample that is evaluated has a label, so that F1 is 0 for any model" * is_empty

    def scores(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        """Return 1 where all labels of a sample are right and else 0, ``(N,)``."""
        truth = self.own_targets(dense) if targets is None else targets
        return ((outputs > 0) == (truth > 0)).all(1).float()

    def agree(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Return which samples get the same labels, ``(N,)``."""
        return ((outputs > 0) == (others > 0)).all(1)

    def distance(self, dense: Tensor, outputs: Tensor) -> Tensor:
        """Return the mean divergence of a label from dense in nats, ``(N,)``."""
        return bernoulli_divergence(dense.float(), outputs.float()).mean(1)

    def loss(self, outputs: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return the mean cross-entropy of a label in nats."""
        truth = targets.to(outputs.device).float()
        each = F.binary_cross_entropy_with_logits(outputs.float(), truth, reduction="none")
        return reduced(each.mean(1), reduction)

    def drawn(self, outputs: Tensor, generator: Generator) -> Tensor:
        """Draw labels from the sigmoid of the logits."""
        return torch.bernoulli(outputs.detach().float().cpu().sigmoid(), generator=generator)

    def own_terms(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return labels rightly given, wrongly given and missed."""
        return torch.stack([item.sum(1) for item in _counted(outputs, truth)], 1)

    def extra_terms(self, dense: Tensor, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return whether all labels are right, or those of dense, the loss, and each label."""
        exact, same = self.agree(outputs, 2 * truth - 1), self.agree(dense, outputs)
        own = torch.stack([exact, same, self.loss(outputs, truth, "none")], 1)
        return torch.cat([own, *_counted(outputs, truth)], 1)


def _counted(outputs: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return which labels are rightly given, wrongly given and missed, each ``(N, labels)``."""
    given, there = outputs > 0, truth > 0
    return given & there, given & ~there, there & ~given


MULTI_LABEL = MultiLabel()
