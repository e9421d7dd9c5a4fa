"""Find where the samples of a batch lie in a value inside of a model.

Mostly along dim 0. But sequence-first code has the tokens there, and windows or folded tokens put
several rows of a sample into one dim. What the model does with a batch in another order tells.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pruners.batches import Inputs
from pruners.errors import UnsupportedError

# Samples that are put in another order; with three, no order but the right one looks right.
PROBE_SAMPLES = 3
# Relative to the largest magnitude: above rounding, below what samples differ by.
SAME = 1e-3
Key = Hashable
# Key, value and dim of its channels, in the order of execution.
Observed = Iterable[tuple[Key, Tensor, int]]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where the samples are.

    Attributes:
        dim: The dim that they lie along, channels put last.
        is_outer: Whether all rows of a sample come before those of the next one.
    """

    dim: int = 0
    is_outer: bool = True

    def fits(self, shape: torch.Size, samples: int) -> bool:
        """Return whether a value of this shape, channels put last, can be arranged so."""
        return self.dim < len(shape) - 1 and shape[self.dim] % samples == 0

    def apart(self, value: Tensor, *, channels: int, samples: int) -> Tensor:
        """Return a value as ``(samples, positions, C)``.

        Args:
            value: The value.
            channels: Dim of its channels.
            samples: Samples of the batch.

        Raises:
            UnsupportedError: Its rows do not belong to samples.
        """
        moved = value.movedim(channels, -1)
        if not self.fits(moved.shape, samples):
            raise UnsupportedError(
                f"an activation of shape {tuple(value.shape)} has no batch of {samples} samples"
            )
        rows = moved.shape[self.dim] // samples
        sizes = (samples, rows) if self.is_outer else (rows, samples)
        cut = moved.reshape(*moved.shape[: self.dim], *sizes, *moved.shape[self.dim + 1 :])
        first = cut.movedim(self.dim + (not self.is_outer), 0)
        return first.reshape(samples, -1, moved.shape[-1])


def find_arrangements(
    observe: Callable[[Inputs], Observed], inputs: Inputs
) -> Mapping[Key, Arrangement]:
    """Return where the samples are in each value that a model computes.

    Args:
        observe: Runs the model on a batch, and returns copies of the values.
        inputs: A batch ``(N, ...)``, of which a few samples are used.

    Returns:
        The arrangement of each value whose samples can be told apart.
    """
    few = inputs[:PROBE_SAMPLES]
    found: dict[Key, Arrangement] = {}
    with torch.enable_grad():
        rolled = few[torch.arange(-1, len(few) - 1)]
        pairs = zip(list(observe(few)), list(observe(rolled)), strict=False)
        for (key, value, dim), (_, after, _) in pairs:
            arrangement = _arrangement(value, after, channels=dim, samples=len(few))
            if arrangement is not None:
                found[key] = arrangement
    return found


def _arrangement(
    value: Tensor, rolled: Tensor, *, channels: int, samples: int
) -> Arrangement | None:
    shape = value.movedim(channels, -1).shape
    scale = value.abs().max()
    for dim in range(len(shape) - 1):
        for is_outer in (True, False):
            guess = Arrangement(dim, is_outer)
            if not guess.fits(shape, samples):
                continue
            before = guess.apart(value, channels=channels, samples=samples)
            after = guess.apart(rolled, channels=channels, samples=samples)
            if bool((after - before.roll(1, 0)).abs().max() <= SAME * scale):
                return guess
    return None
