"""Evaluation and calibration subsets: chosen by seed, read in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from analysis.subjects.data.sources import Source
from analysis.tasks import CLASSIFICATION, Task
from pruners.calls import spans
from pruners.errors import InputError, one_line

# Subsets up to this size stay in memory as float32.
PRELOAD_BYTES = 512 * 2**20


class Split:
    """Samples in a fixed order.

    Args:
        source: Where they are read from.
        indices: Which ones, in order.
        task: Says what targets must be.
        classes: Classes of the model's outputs, for the task.
        device: Where batches are put.
        preload_bytes: The subset is kept in memory if it takes at most this much.

    Attributes:
        source: Where the samples are read from.
        indices: Which ones, in order.
        has_labels: Whether the samples have labels.
        input_shape: Shape of one input.
        is_small: Whether the subset is kept in memory.

    Raises:
        InputError: A label is out of range (checked here if the subset fits in memory, else in
            the batch that has it).
    """

    def __init__(
        self,
        source: Source,
        indices: Sequence[int],
        *,
        task: Task = CLASSIFICATION,
        classes: int,
        device: str | torch.device = "cpu",
        preload_bytes: int = PRELOAD_BYTES,
    ) -> None:
        self.indices = tuple(indices)
        self.source = source
        self._task, self._classes = task, classes
        self._device = torch.device(device)
        self._preload_bytes = preload_bytes
        self._memory: tuple[Tensor, Tensor | None] | None = None
        self._is_measured = False
        first, labels = self._read(self.indices[:1])
        self.has_labels = labels is not None
        self.input_shape = tuple(first.shape[1:])
        self.is_small = first.nbytes * len(self.indices) <= preload_bytes

    def __len__(self) -> int:
        return len(self.indices)

    def preload(self) -> None:
        """Read a small subset into the device's memory now: what is wrong shows at once."""
        if self.is_small and self._memory is None:
            inputs, labels = self._read(self.indices)
            on_device = None if labels is None else labels.to(self._device)
            self._memory = (inputs.to(self._device), on_device)

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield float32 inputs ``(n, ...)`` and int64 labels ``(n,)`` or None, always in order.

        A last sample that would be alone belongs to the batch before it: norms that are estimated
        anew, and models that squeeze their answers, need more than one.
        """
        for first, last in spans(len(self), batch_size):
            yield self.part(first, last)

    def part(self, first: int, last: int) -> tuple[Tensor, Tensor | None]:
        """Return inputs and labels of the samples ``first`` to ``last - 1``, as in `batches`."""
        self.preload()
        inputs, labels = self._slice(first, last)
        return self._moved(inputs), None if labels is None else self._moved(labels)

    def _moved(self, tensor: Tensor) -> Tensor:
        """Return a tensor on the device; from pinned memory, so that nobody waits for the copy."""
        if self._device.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()
        return tensor.to(self._device, non_blocking=True)

    def _slice(self, first: int, last: int) -> tuple[Tensor, Tensor | None]:
        if self._memory is None:
            return self._read(self.indices[first:last])
        inputs, labels = self._memory
        return inputs[first:last], None if labels is None else labels[first:last]

    def _read(self, indices: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        inputs, labels = self.source.read(indices)
        if labels is not None and len(labels) != len(inputs):
            raise InputError(f"{self.source.name!r}: some samples have no target")
        self._check_labels(labels, indices)
        return inputs, labels

    def _check_labels(self, labels: Tensor | None, indices: Sequence[int]) -> None:
        if labels is None or not len(labels):
            return
        if problem := self._task.target_problem(labels, self._classes):
            at, text = problem
            raise InputError(f"{self.source.name!r}: sample {indices[at]} {text}")


def choose(
    count: int, *, samples: int | None, calibration: int, seed: int, own_calibration: int | None
) -> tuple[list[int], list[int]]:
    """Choose evaluation and calibration indices that never meet.

    Args:
        count: Samples of the evaluation data.
        samples: Size of the evaluation subset; None takes all that calibration leaves.
        calibration: Wanted size of the calibration set.
        seed: Chooses both.
        own_calibration: Size of a separate calibration set; None takes calibration samples from
            the evaluation data: what the evaluation subset leaves, but at least a fifth.

    Returns:
        Evaluation indices, and calibration indices into the separate set if there is one.
    """
    generator = torch.Generator().manual_seed(seed)
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    wanted = count if samples is None else min(samples, count)
    if own_calibration is not None:
        other: list[int] = torch.randperm(own_calibration, generator=generator).tolist()
        return order[:wanted], other[:calibration]
    spare = max(count - wanted, count // 5)
    reserved = min(calibration, spare)
    kept = min(wanted, count - reserved)
    return order[:kept], order[count - reserved :]


def read_failure(name: str, error: Exception) -> InputError:
    """Return what to tell when reading a sample raised."""
    if isinstance(error, InputError):
        return error
    return InputError(f"{name!r}: reading a sample raised {one_line(error)}")
