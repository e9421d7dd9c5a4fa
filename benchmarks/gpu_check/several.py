"""A small model of several inputs in a tree, and samples for it: token numbers and a mask."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

TOKENS, LENGTH, SAMPLES, CLASSES = 50, 16, 120, 3


class Net(nn.Module):
    """Classes from the mean over the tokens that a mask keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(TOKENS, 16)
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, CLASSES)

    def forward(self, *, ids: Tensor, more: dict[str, Tensor]) -> Tensor:
        """Return the logits ``(N, CLASSES)`` of ids and masks ``(N, LENGTH)``."""
        keep = more["keep"]
        mean = (self.table(ids) * keep[..., None]).sum(1) / keep.sum(1, keepdim=True)
        found: Tensor = self.down(self.up(mean).relu() * more["scale"][:, None])
        return found


def model() -> nn.Module:
    """Return the model, with weights drawn from a seed."""
    torch.manual_seed(0)
    return Net()


class Items(Dataset[Any]):
    """Samples drawn from their numbers."""

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[dict[str, Any], int]:
        if index >= SAMPLES:
            raise IndexError(index)
        chance = torch.Generator().manual_seed(index)
        ids = torch.randint(TOKENS, (LENGTH,), generator=chance)
        keep = torch.arange(LENGTH) < 4 + index % 12
        more = {"keep": keep.long(), "scale": torch.rand((), generator=chance)}
        return {"ids": ids, "more": more}, index % CLASSES


def items() -> Items:
    """Return the samples."""
    return Items()
