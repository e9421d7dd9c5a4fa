"""What gradients are taken of: cross-entropy, and labels drawn where the data has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

Reduction = Literal["mean", "sum", "none"]
Draw = Callable[[Tensor, Generator], Tensor]


class Loss(Protocol):
    """A loss of outputs ``(N, ...)`` and targets: of each sample ``(N,)``, its mean, or its sum."""

    def __call__(self, outputs: Tensor, targets: Tensor, reduction: Reduction) -> Tensor:
        """Return the loss, differentiable in the outputs."""


def cross_entropy(outputs: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return the cross-entropy of logits ``(N, classes)`` in nats, in float32.

    Args:
        outputs: Logits.
        targets: Class indices int64 ``(N,)``, on any device.
        reduction: ``mean``, ``sum``, or ``none`` for ``(N,)``.
    """
    return F.cross_entropy(outputs.float(), targets.to(outputs.device), reduction=reduction)


def drawn_labels(logits: Tensor, generator: Generator) -> Tensor:
    """Draw a label for each sample from the model's own predictions, ``(N,)`` on the CPU."""
    chances = logits.detach().float().softmax(1).cpu()
    return torch.multinomial(chances, 1, generator=generator)[:, 0]
