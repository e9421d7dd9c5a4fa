"""Regression: one or more numbers a sample."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from analysis.tasks.kinds.adding import SummedTask, checked, close, reduced
from analysis.tasks.kinds.targets import first_of_other_form, real_numbers
from analysis.tasks.meanings import ExplainedShare
from analysis.tasks.task import Reduction


class Regression(ExplainedShare, SummedTask):
    """Numbers; outputs are ``(N,)`` or ``(N, D)``, targets alike. The loss is the mean square."""

    name = "regression"

    def check(self, outputs: object, samples: int, *, model: str) -> Tensor:
        """Return numbers ``(samples,)`` or ``(samples, D)``; see `Task.check`."""
        form = "numbers (samples,) or (samples, D)"
        return checked(outputs, samples, model=model, form=form, dims=(1, 2))

    def as_targets(self, values: Tensor) -> Tensor | None:
        """Return numbers, float32 ``(N, D)``."""
        return real_numbers(values).reshape(len(values), -1)

    def own_targets(self, dense: Tensor) -> Tensor:
        """Return the dense model's numbers."""
        return _columns(dense)

    def target_problem(self, targets: Tensor, form: tuple[int, ...]) -> tuple[int, str] | None:
        """Return the first sample if targets are not as many numbers as outputs."""
        return first_of_other_form(targets, form or (1,))

    def no_score(self, targets: Tensor) -> str:
        """Say that all targets are equal: nothing is left of R2."""
        is_same = bool((targets == targets[:1]).all())
        return "all targets that are evaluated are equal, so that R2 is not defined" * is_same

    def scores(self, dense: Tensor, outputs: Tensor, targets: Tensor | None) -> Tensor:
        """Return the mean squared error of each sample, negative."""
        return -self._errors(outputs, self.own_targets(dense) if targets is None else targets)

    def agree(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Return which samples get the same numbers but for rounding."""
        return close(_columns(outputs), _columns(others))

    def distance(self, dense: Tensor, outputs: Tensor) -> Tensor:
        """Return the mean squared difference of each sample."""
        return self._errors(outputs, _columns(dense))

    def loss(self, outputs: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return the mean squared error."""
        return reduced(self._errors(outputs, targets.to(outputs.device)), reduction)

    def drawn(self, outputs: Tensor, generator: Generator) -> Tensor:
        """Draw numbers of the normal distribution whose negative logarithm is the loss."""
        return around(_columns(outputs), generator)

    def shared_terms(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return squares and numbers."""
        numbers = truth.double() if truth.device.type != "mps" else truth
        return torch.cat([numbers.square().sum(1, keepdim=True), numbers], 1)

    def own_terms(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return absolute and squared errors."""
        errors = _columns(outputs).float() - truth
        return torch.stack([errors.abs().sum(1), errors.square().sum(1)], 1)

    def extra_terms(self, dense: Tensor, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return how many numbers there are."""
        return torch.ones_like(truth).sum(1, keepdim=True)

    @staticmethod
    def _errors(outputs: Tensor, truth: Tensor) -> Tensor:
        errors: Tensor = (_columns(outputs).float() - truth.float()).square()
        return errors.mean(1)


def around(outputs: Tensor, generator: Generator) -> Tensor:
    """Return outputs with normal noise of variance 1/2 on the CPU."""
    found = outputs.detach().float().cpu()
    return found + torch.randn(found.shape, generator=generator) * math.sqrt(0.5)


def _columns(outputs: Tensor) -> Tensor:
    return outputs[:, None] if outputs.dim() == 1 else outputs


REGRESSION = Regression()
