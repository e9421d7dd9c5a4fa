"""Factories that addresses in the tests name."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))


def nan_model() -> nn.Sequential:
    model = mlp()
    nn.init.constant_(model[0].weight, float("nan"))  # type: ignore[arg-type]
    return model


def vectors() -> TensorDataset:
    generator = torch.Generator().manual_seed(2)
    return TensorDataset(
        torch.randn(50, 6, generator=generator), torch.randint(3, (50,), generator=generator)
    )


def empty() -> list[tuple[Tensor, int]]:
    return []


class Broken:
    """Raises on one sample."""

    classes = ("a", "b", "c")

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index == 13:
            raise OSError("sample 13 is damaged\nreally")
        return torch.full((6,), float(index)), index % 3


def broken() -> Broken:
    return Broken()


def pairs() -> list[tuple[Tensor, int]]:
    return [(torch.full((6,), float(index)), index % 3) for index in range(30)]


def unlabelled() -> list[Tensor]:
    return [item for item, _ in pairs()]


def out_of_range() -> list[tuple[Tensor, int]]:
    return [(item, 7) for item, _ in pairs()]


def text_targets() -> list[tuple[Tensor, str]]:
    return [(item, "cat") for item, _ in pairs()]


def ragged() -> list[tuple[Tensor, int]]:
    return [(torch.zeros(6 + (index > 3)), 0) for index in range(30)]


def not_a_data_set() -> int:
    return 3
