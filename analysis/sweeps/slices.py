"""The evaluation set in slices: what a sweep measures, stores and goes on from at a time.

Slices are batches, the first of which is cut: a first look at every curve must not take a large
share of the whole time, and an adaptive sweep decides broken points on few samples.
"""

from __future__ import annotations

from torch import Tensor

from analysis.records import SweepSpec
from analysis.subjects.data import Split
from pruners.errors import InputError, one_line

# Adaptive: broken points are plain to see by then.
ADAPTIVE_LOOKS = (64, 128)
# Exhaustive: every curve has a coarse shape after this share of the samples, ...
COARSE_SHARE = 1 / 16
# ... unless the first batch is no larger than this share anyway.
SMALL_SHARE = 1 / 10


class Slices:
    """The evaluation set in slices.

    Args:
        split: The evaluation set.
        batch_size: Samples a batch.
        looks: Numbers of samples at which the first batch is cut; those beyond it are left out.
    """

    def __init__(self, split: Split, batch_size: int, *, looks: tuple[int, ...] = ()) -> None:
        self._split = split
        total = len(split)
        first = min(batch_size, total)
        ends = [end for end in looks if end < first]
        ends += [min(end, total) for end in range(first, total + batch_size, batch_size)]
        self.ends = tuple(dict.fromkeys(ends))

    def __len__(self) -> int:
        return len(self.ends)

    def number_at(self, samples: int) -> int | None:
        """Return the slice that comes after so many samples; None if none ends there."""
        if samples == 0:
            return 0
        return self.ends.index(samples) + 1 if samples in self.ends else None

    def start(self, number: int) -> int:
        """Return the number of the first sample of a slice."""
        return self.ends[number - 1] if number else 0

    def read(self, number: int) -> tuple[Tensor, Tensor | None]:
        """Return the inputs and labels of a slice.

        Raises:
            InputError: The data raised; the message says where and what.
        """
        try:
            return self._split.part(self.start(number), self.ends[number])
        except Exception as error:
            # A user's data set may raise anything; one line says where.
            raise InputError(
                f"the evaluation data raised in batch {number + 1} of {len(self)}: "
                f"{one_line(error)}"
            ) from error


def sweep_slices(split: Split, spec: SweepSpec) -> Slices:
    """Return the slices in which a sweep reads its evaluation set."""
    size = spec.subject.batch_size
    if spec.mode == "adaptive":
        return Slices(split, size, looks=ADAPTIVE_LOOKS)
    is_cut = size > SMALL_SHARE * len(split)
    return Slices(split, size, looks=(coarse_look(len(split)),) if is_cut else ())


def coarse_look(total: int) -> int:
    """Return the number of samples after which an exhaustive sweep shows all curves at first."""
    return max(1, round(COARSE_SHARE * total))
