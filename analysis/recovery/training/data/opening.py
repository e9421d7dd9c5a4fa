"""Training data of a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from analysis.edits import PreparedSubject
from analysis.subjects import Split
from pruners.errors import InputError

if TYPE_CHECKING:
    from analysis.recovery.training.recipe import TrainingRecipe

Batch = tuple[Tensor, Tensor | None]


class Sampler:
    """Batches in an order that a seed draws anew for each epoch, without end.

    Args:
        split: The samples.
        batch_size: Samples a batch; what an epoch leaves over is left out of it.
        seed: Draws the order.
        device: Where batches are put.
    """

    def __init__(self, split: Split, *, batch_size: int, seed: int, device: torch.device) -> None:
        self._split, self._device = split, device
        self._size = min(batch_size, len(split))
        self._seed = seed
        self._epoch = 0
        self._batch = 0

    @property
    def batches_per_epoch(self) -> int:
        """Batches in which each sample is seen once."""
        return len(self._split) // self._size

    def next(self) -> Batch:
        """Return the next batch: inputs ``(n, ...)``, targets ``(n,)`` or None."""
        if self._batch == self.batches_per_epoch:
            self._epoch, self._batch = self._epoch + 1, 0
        generator = torch.Generator().manual_seed(self._seed + (self._epoch << 32))
        order = torch.randperm(len(self._split), generator=generator)
        first = self._batch * self._size
        chosen = [self._split.indices[at] for at in order[first : first + self._size].tolist()]
        self._batch += 1
        inputs, targets = self._split.source.read(chosen)
        return inputs.to(self._device), None if targets is None else targets.to(self._device)

    def state(self) -> dict[str, Tensor]:
        """Return the position."""
        return {"position": torch.tensor([self._epoch, self._batch])}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a position."""
        self._epoch, self._batch = (int(item) for item in state["position"])


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What is learned from.

    Attributes:
        train: Samples to learn from.
        selection: Samples to select by, of which none is learned from; None where none are.
        fingerprint: Of content and choice of all of them.
        device: Where batches are put.
    """

    train: Split
    selection: Split | None
    fingerprint: str
    device: torch.device

    def sampler(self, *, batch_size: int, seed: int) -> Sampler:
        """Return batches of the training samples."""
        return Sampler(self.train, batch_size=batch_size, seed=seed, device=self.device)


def open_training_data(
    prepared: PreparedSubject, recipe: TrainingRecipe, *, roots: Sequence[Path] | None = None
) -> TrainingData:
    """Open the training data of a recipe.

    Raises:
        InputError: The subject has no data to train on.
    """
    split = prepared.subject.calibration
    if split is None:
        raise InputError("training needs data; give the subject a data address")
    count = round(recipe.selection * len(split))
    return TrainingData(
        split.of(split.indices[count:]),
        split.of(split.indices[:count]) if count else None,
        prepared.subject.calibration_fingerprint,
        prepared.subject.example.device,
    )
