"""The evaluation set in slices: what is measured, stored and gone on from at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from torch import Tensor

from analysis.subjects.data import Split
from pruners.batches import Inputs
from pruners.errors import InputError, one_line


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Samples that are measured together.

    Attributes:
        first: Number of the first sample in the evaluation set.
        inputs: ``(N, ...)`` on the model's device.
        targets: What the data says of them, or None.
        groups: The group of each, for intervals; see `analysis.tasks.Task.vector`.
    """

    first: int
    inputs: Inputs
    targets: Tensor | None
    groups: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def parts(self, samples: int | None) -> Iterator[Slice]:
        """Yield the slice in parts of at most so many samples."""
        if samples is None or samples >= len(self):
            yield self
            return
        for start in range(0, len(self), samples):
            end = start + samples
            targets = None if self.targets is None else self.targets[start:end]
            groups = self.groups[start:end]
            yield Slice(self.first + start, self.inputs[start:end], targets, groups)


class Slicing(TypedDict):
    """How an evaluation set is cut; see `Slices`."""

    batch_size: int
    looks: tuple[int, ...]
    come_back: bool


class Slices:
    """The evaluation set in slices: batches, the first of which may be cut.

    Args:
        split: The evaluation set.
        batch_size: Samples a batch.
        looks: Numbers of samples at which the first batch is cut; those beyond it are left out.
        come_back: Whether slices are read more than once, so that their values are worth keeping.

    Attributes:
        slicing: The arguments but the first one.
        come_back: As given.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        looks: tuple[int, ...] = (),
        come_back: bool = False,
    ) -> None:
        self._split = split
        self.slicing = Slicing(batch_size=batch_size, looks=looks, come_back=come_back)
        self.come_back = come_back
        total = len(split)
        first = min(batch_size, total)
        ends = [end for end in looks if end < first]
        ends += [min(end, total) for end in range(first, total + batch_size, batch_size)]
        self.ends = tuple(dict.fromkeys(ends))

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[Slice]:
        return map(self.read, range(len(self)))

    @property
    def total(self) -> int:
        """Samples of all slices."""
        return len(self._split)

    def number_at(self, samples: int) -> int | None:
        """Return the slice that comes after so many samples; None if none ends there."""
        if samples == 0:
            return 0
        return self.ends.index(samples) + 1 if samples in self.ends else None

    def start(self, number: int) -> int:
        """Return the number of the first sample of a slice."""
        return self.ends[number - 1] if number else 0

    def size(self, number: int) -> int:
        """Return the samples of a slice."""
        return self.ends[number] - self.start(number)

    def read(self, number: int) -> Slice:
        """Read a slice.

        Raises:
            InputError: The data raised; the message says where and what.
        """
        first = self.start(number)
        try:
            inputs, targets = self._split.part(first, self.ends[number])
        except Exception as error:
            # A user's data set may raise anything; one line says where.
            raise InputError(
                f"the evaluation data raised in batch {number + 1} of {len(self)}: "
                f"{one_line(error)}"
            ) from error
        return Slice(first, inputs, targets, self._split.groups(first, first + len(inputs)))
