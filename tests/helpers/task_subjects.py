"""Tiny models and data of other tasks than classification, by address."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

WHERE = "tests.helpers.task_subjects"
SAMPLES = 200


def _noise(shape: torch.Size, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _labelled(model: nn.Module, inputs: Tensor, noise: float = 0.3) -> TensorDataset:
    """Return targets near the model's own answers."""
    with torch.no_grad():
        found = model(inputs)
    return TensorDataset(inputs, found + noise * _noise(found.shape, 2))


def regression() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 2)
    )


def regression_data() -> TensorDataset:
    return _labelled(regression(), _noise(torch.Size([SAMPLES, 6]), 1), 0.1)
