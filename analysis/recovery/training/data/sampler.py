"""Batches of training data in a seeded order, from any place in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor

from analysis.recovery.training.data.chance import generator
from analysis.subjects.data import Split
from pruners.batches import Inputs
from pruners.errors import InputError

Batch = tuple[Inputs, Tensor | None]
Augment = Callable[[Tensor, Generator], Tensor]


class Sampler:
    """Draws batches for ever: each epoch has all samples in an order of its own.

    A last batch that would be short is left out, unless it is the only one. The order of an epoch,
    and what augmentation draws for a batch, hang on the seed and the place alone: the place is all
    of the state.

    Args:
        split: The samples.
        batch_size: Samples a batch.
        seed: Of order and augmentation.
        augment: Changes the inputs of each batch, drawing from the generator; None for nothing.

    Attributes:
        epoch: Epochs that are over.
        position: Batches that were drawn of the present epoch.
        batches_per_epoch: Batches of an epoch, at least 1.
        batch_size: Samples a batch, at most as many as there are.
    """

    def __init__(
        self, split: Split, *, batch_size: int, seed: int, augment: Augment | None = None
    ) -> None:
        self.batch_size = min(batch_size, len(split))
        self.batches_per_epoch = len(split) // self.batch_size
        self.epoch = 0
        self.position = 0
        self._split, self._seed, self._augment = split, seed, augment
        self._order: tuple[int, Tensor] | None = None

    def next(self) -> Batch:
        """Return inputs ``(n, ...)`` and targets ``(n,)`` or None of the next batch."""
        first = self.position * self.batch_size
        chosen = self._shuffled()[first : first + self.batch_size]
        inputs, targets = self._split.take(chosen.tolist())
        if self._augment is not None:
            assert isinstance(inputs, Tensor)  # `opening` refuses augmentations of several
            chance = generator(self._seed, "augmentation", self.epoch, self.position)
            inputs = self._augment(inputs, chance)
        self.position += 1
        if self.position == self.batches_per_epoch:
            self.epoch, self.position = self.epoch + 1, 0
        return inputs, targets

    def _shuffled(self) -> Tensor:
        if self._order is None or self._order[0] != self.epoch:
            chance = generator(self._seed, "order", self.epoch)
            self._order = (self.epoch, torch.randperm(len(self._split), generator=chance))
        return self._order[1]

    def state(self) -> dict[str, Tensor]:
        """Return the place, and what it is a place in: int64, for a checkpoint."""
        return {
            name: torch.tensor(value, dtype=torch.int64)
            for name, value in {
                "epoch": self.epoch,
                "position": self.position,
                **self._identity(),
            }.items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state` was taken.

        Raises:
            InputError: It was taken of other samples, batches or another seed.
        """
        for name, value in self._identity().items():
            if name not in state or int(state[name]) != value:
                found = int(state[name]) if name in state else "nothing"
                raise InputError(
                    f"the checkpoint's batches are of other training data: {name} is {value} here "
                    f"and {found} there; start the training anew"
                )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])

    def _identity(self) -> dict[str, int]:
        return {"samples": len(self._split), "batch_size": self.batch_size, "seed": self._seed}
