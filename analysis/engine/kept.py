"""What an evaluator keeps of a batch, and the part of it that belongs to some of its samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from analysis.engine.execution import Values
from analysis.engine.operators import IMAGES
from analysis.engine.steps import Sizes
from analysis.engine.weights import State
from pruners.batches import Inputs


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class KeptBatch:
    """What an evaluator found out of a batch, for the edits that are evaluated on it.

    Attributes:
        inputs: The batch ``(N, ...)``.
        outputs: What the model gives under ``edit``, ``(N, classes)``.
        known: Values under ``edit`` that other edits read, by step, of each tile of the batch.
        edit: The edit behind ``outputs`` and ``known``, under all names of its tensors; empty is
            the dense model.
        margin: What a reduced precision holds for a close answer; see `ReducedEvaluator`.
        exact: Of a reduced precision, what the evaluator in full precision keeps of the batch.
    """

    inputs: Inputs
    outputs: Tensor
    known: tuple[Values, ...] = ()
    edit: State = field(default_factory=dict)
    margin: float | Tensor = 0.0
    exact: KeptBatch | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the inputs and the kept values."""
        values = (value for known in self.known for value in known.values())
        own = sum(value.nbytes for value in values if isinstance(value, Tensor))
        return own + (self.inputs.nbytes if self.exact is None else self.exact.nbytes)

    def values_of(
        self, samples: Tensor, steps: Iterable[int], sizes: Sizes, *, at_least: int = 0
    ) -> Values | None:
        """Return the values of some samples.

        Args:
            samples: Their places in the batch ``(K,)``, in ascending order.
            steps: The steps whose values are wanted.
            sizes: Which values have a row a sample.
            at_least: The last sample is there as often as it takes to be so many.

        Returns:
            Values by step, each as of a batch of so many samples; None where one is not kept or
            has no row a sample.
        """
        wanted = list(steps)
        if not all(
            index in sizes.counts or (index in sizes.rows and index in self.known[0])
            for index in wanted
        ):
            return None
        missing = max(0, at_least - len(samples))
        samples = torch.cat([samples, samples[-1:].expand(missing)]) if missing else samples
        places = self._places(samples)
        return {
            index: len(samples)
            if index in sizes.counts
            else _joined([_rows(self.known[tile][index], rows) for tile, rows in places])
            for index in wanted
        }

    def _places(self, samples: Tensor) -> Sequence[tuple[int, Tensor]]:
        """Return the tiles that samples lie in, with their rows there."""
        if len(self.known) == 1:
            return ((0, samples),)
        counts = [len(known[-1]) for known in self.known]
        ends = torch.tensor(counts, device=samples.device).cumsum(0)
        tiles = torch.bucketize(samples.contiguous(), ends, right=True)
        starts = ends - torch.tensor(counts, device=samples.device)
        return [(at, samples[tiles == at] - starts[at]) for at in sorted(set(tiles.tolist()))]


def _rows(value: Tensor, rows: Tensor) -> Tensor:
    """Return rows of a value, in its layout."""
    is_image = value.dim() == IMAGES and value.is_contiguous(memory_format=torch.channels_last)
    if not is_image:
        return value.index_select(0, rows)
    return value.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
