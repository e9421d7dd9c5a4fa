"""Evaluation and calibration subsets: chosen by seed, read in batches."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from analysis.records import DEFAULT_TASK
from analysis.subjects.data.file_digests import FileDigests
from analysis.subjects.data.hashing import CHUNK, content_digest
from analysis.subjects.data.sources import Source
from analysis.tasks import CLASSIFICATION, Task
from analysis.uncertainty import GROUPS
from pruners.batches import Inputs, as_types, parts_of, shape_of
from pruners.calls import spans
from pruners.errors import InputError, one_line

# Subsets up to this size stay in memory.
PRELOAD_BYTES = 512 * 2**20
# Samples that are read twice: data that differ then differ in each run.
TWICE = 64


class Split:
    """Samples in a fixed order.

    Args:
        source: Where they are read from.
        indices: Which ones, in order.
        task: Says what targets must be.
        form: Shape of the model's outputs for one sample, for the task.
        like: Inputs of the type that the model takes; None takes them as they are read.
        device: Where batches are put.
        preload_bytes: The subset is kept in memory if it takes at most this much.

    Attributes:
        source: Where the samples are read from.
        indices: Which ones, in order.
        has_labels: Whether the samples have labels.
        input_shape: Shape of one input.
        is_small: Whether the subset is kept in memory.

    Raises:
        InputError: A label is out of range, or an input not finite (checked here if the subset
            fits in memory, else in the batch that has it).
    """

    def __init__(
        self,
        source: Source,
        indices: Sequence[int],
        *,
        task: Task = CLASSIFICATION,
        form: tuple[int, ...],
        like: Inputs | None = None,
        device: str | torch.device = "cpu",
        preload_bytes: int = PRELOAD_BYTES,
    ) -> None:
        self.indices = tuple(indices)
        self.source = source
        self._task, self._form, self._like = task, form, like
        self._device = torch.device(device)
        self._preload_bytes = preload_bytes
        self._memory: tuple[Inputs, Tensor | None] | None = None
        self._is_measured = False
        self._groups: Tensor | None = None
        self._unscored = Unscored(task)
        first, labels = self._read(self.indices[:1])
        self.has_labels = labels is not None
        self.input_shape = shape_of(first)
        self.is_small = first.nbytes * len(self.indices) <= preload_bytes

    def __len__(self) -> int:
        return len(self.indices)

    def of(self, indices: Sequence[int]) -> Split:
        """Return other samples of the same source, read in the same way."""
        return Split(
            self.source,
            indices,
            task=self._task,
            form=self._form,
            like=self._like,
            device=self._device,
            preload_bytes=self._preload_bytes,
        )

    def at(self, positions: Sequence[int]) -> Split:
        """Return the samples at some positions; what is in memory is not read again."""
        part = self.of([self.indices[at] for at in positions])
        if self._memory is not None:
            inputs, labels = self._memory
            chosen = torch.as_tensor(positions, dtype=torch.int64, device=inputs.device)
            part._memory = (inputs[chosen], None if labels is None else labels[chosen])
        return part

    def preload(self) -> None:
        """Read a small subset into the device's memory now: what is wrong shows at once."""
        if self.is_small and self._memory is None:
            inputs, labels = self._read(self.indices)
            on_device = None if labels is None else labels.to(self._device)
            self._memory = (inputs.to(self._device), on_device)

    def require_score(self) -> None:
        """Check that the targets give a score: now, or once all were read if they are large.

        Raises:
            InputError: They do not, whatever a model answers.
        """
        self._unscored.is_asked = True
        if self._memory is not None:
            self._check_score(0, self._memory[1])

    def _check_score(self, first: int, labels: Tensor | None) -> None:
        """Look at targets from a position on; after the last ones it is known if there is a score.

        Raises:
            InputError: There is none.
        """
        if labels is not None and (why := self._unscored.of(first, labels, total=len(self))):
            raise InputError(f"{self.source.name!r}: {why}; evaluate other samples")

    def batches(self, batch_size: int) -> Iterator[tuple[Inputs, Tensor | None]]:
        """Yield inputs ``(n, ...)`` and their targets or None, always in order.

        A last sample that would be alone belongs to the batch before it: norms that are estimated
        anew, and models that squeeze their answers, need more than one.
        """
        for first, last in spans(len(self), batch_size):
            yield self.part(first, last)

    def named(self, position: int) -> str:
        """Return what messages call a sample: its number in the data."""
        return f"sample {self.indices[position]}"

    def part(self, first: int, last: int) -> tuple[Inputs, Tensor | None]:
        """Return inputs and labels of the samples ``first`` to ``last - 1``, as in `batches`."""
        self.preload()
        inputs, labels = self._slice(first, last)
        return self._moved(inputs), None if labels is None else self._moved(labels)

    @property
    def documents(self) -> int | None:
        """Of how many documents the samples are; None where nobody knows."""
        found = self.source.documents(self.indices)
        return None if found is None else len(set(found.tolist()))

    def groups(self, first: int, last: int) -> Tensor:
        """Return the groups of some samples, for intervals: int64 ``(last - first,)``.

        Samples are dealt out in the order of the subset, which the seed drew; those of a document
        together, in the order in which documents first appear. So they hang on seed and data alone.
        """
        if self._groups is None:
            documents = self.source.documents(self.indices)
            if documents is None:
                found = torch.arange(len(self)) % GROUPS
            else:
                known: dict[int, int] = {}
                order = [known.setdefault(item, len(known)) for item in documents.tolist()]
                found = torch.tensor(order) % GROUPS + GROUPS
            self._groups = found.to(self._device)
        return self._groups[first:last]

    def take(self, positions: Sequence[int]) -> tuple[Inputs, Tensor | None]:
        """Return inputs and labels of the samples at some positions, in that order."""
        self.preload()
        if self._memory is None:
            inputs, labels = self._read([self.indices[at] for at in positions])
        else:
            inputs, labels = self._memory
            chosen = torch.as_tensor(positions, dtype=torch.int64, device=inputs.device)
            inputs, labels = inputs[chosen], None if labels is None else labels[chosen]
        return self._moved(inputs), None if labels is None else self._moved(labels)

    def _moved(self, tensor: Any) -> Any:
        """Return a batch on the device; from pinned memory, so that nobody waits for the copy."""
        if self._device.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()
        return tensor.to(self._device, non_blocking=True)

    def fingerprint(self, files: FileDigests) -> str:
        """Return a SHA-256 of the choice, and of the content of all inputs and labels.

        Other tasks have other numbers and statistics; a fingerprint of classification is that of
        programs that knew no other task.
        """
        if self.source.is_told_by_reading:
            parts = range(0, len(self), CHUNK)
            digest = content_digest(self._slice(first, first + CHUNK) for first in parts)
        else:
            digest = self.source.digest(self.indices, files)
        asked = "" if self._task.name == DEFAULT_TASK else f"|{self._task.name}"
        choice = f"{digest}|{list(self.indices)}{asked}"
        return self.source.mark + hashlib.sha256(choice.encode()).hexdigest()

    def _slice(self, first: int, last: int) -> tuple[Inputs, Tensor | None]:
        if self._memory is None:
            inputs, labels = self._read(self.indices[first:last])
            self._check_score(first, labels)
            return inputs, labels
        inputs, labels = self._memory
        return inputs[first:last], None if labels is None else labels[first:last]

    def _read(self, indices: Sequence[int]) -> tuple[Inputs, Tensor | None]:
        inputs, labels = self.source.read(indices)
        if labels is not None and len(labels) != len(inputs):
            raise InputError(f"{self.source.name!r}: some samples have no target")
        require_finite(self.source, indices, inputs)
        self._check_labels(labels, indices)
        return inputs if self._like is None else as_fed(inputs, self._like), labels

    def _check_labels(self, labels: Tensor | None, indices: Sequence[int]) -> None:
        if labels is None or not len(labels):
            return
        if problem := self._task.target_problem(labels, self._form):
            at, text = problem
            raise InputError(f"{self.source.name!r}: sample {indices[at]} {text}")


def as_fed(inputs: Inputs, like: Inputs) -> Inputs:
    """Return inputs in the types and the form of those that the model takes.

    Args:
        inputs: As they are read.
        like: What the model takes, see `analysis.subjects.answers.as_taken`.
    """
    inputs = as_types(inputs, like)
    if isinstance(inputs, Tensor) and isinstance(like, Tensor) and inputs.dim() == like.dim() + 1:
        return inputs[:, 0]
    return inputs


class Unscored:
    """Whether targets that are read part by part, in order, leave all of them without a score.

    Args:
        task: Says what a score needs, see `Task.no_score`.

    Attributes:
        is_asked: Whether anybody wants to know.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self.is_asked = False
        # The first target of each part so far; None once a part gave a score.
        self._firsts: list[Tensor] | None = None
        self._next = 0

    def of(self, first: int, targets: Tensor, *, total: int) -> str:
        """Return why all targets give no score, once the last ones are seen; else nothing.

        Args:
            first: Position of the first of these.
            targets: The next ones ``(n, ...)``.
            total: How many there are.
        """
        if not self.is_asked or not len(targets):
            return ""
        if first == 0:
            self._firsts, self._next = [], 0
        if self._firsts is None or first != self._next:
            return ""
        self._next += len(targets)
        if not self._task.no_score(targets):
            self._firsts = None
            return ""
        # All targets of a part without a score say the same: the first one stands for them.
        self._firsts.append(targets[:1])
        if self._next < total:
            return ""
        alike = [item for item in self._firsts if item.shape == self._firsts[0].shape]
        return self._task.no_score(torch.cat(alike))


def require_finite(source: Source, indices: Sequence[int], inputs: Inputs) -> None:
    """Name the first of some samples that holds NaN or infinite numbers.

    Raises:
        InputError: One does; what the model answers to it means nothing.
    """
    at = first_not_finite(inputs)
    if at is not None:
        raise InputError(
            f"{source.name!r}: sample {indices[at]} holds numbers that are not finite; leave it "
            "out, or check the mean and std"
        )


def first_not_finite(inputs: Inputs) -> int | None:
    """Return the place of the first row of ``(N, ...)`` that is not finite; None if all are."""
    found = (_first_odd(part) for part in parts_of(inputs))
    return min((at for at in found if at is not None), default=None)


def _first_odd(values: Tensor) -> int | None:
    if _is_finite(values):
        return None
    rows = torch.isfinite(values).reshape(len(values), -1).all(1)
    return int((~rows).nonzero()[0])


def _is_finite(values: Tensor) -> bool:
    if values.is_complex():
        values = torch.view_as_real(values)
    if not values.is_floating_point() or not values.numel():
        return True
    # One pass, in which numbers that are none come through; `isfinite` takes ten times as long.
    return all(math.isfinite(end) for end in torch.stack(torch.aminmax(values)).tolist())


def check_steady(source: Source, indices: Sequence[int]) -> None:
    """Check that samples are the same each time they are read.

    Raises:
        InputError: One is not; all that is measured would depend on chance.
    """
    if (sample := first_unsteady(source, indices)) is not None:
        raise InputError(
            f"{source.name!r}: sample {sample} is another one each time it is read: a "
            "random transform is left in, or something is counted; take the transform of the "
            "evaluation, or seed it by the index"
        )


def first_unsteady(source: Source, indices: Sequence[int]) -> int | None:
    """Return the first of some samples that is another one when it is read again; None if none.

    Only the first `TWICE` are read.
    """
    indices = indices[:TWICE]
    for one, other in zip(_parts(source, indices), _parts(source, indices), strict=True):
        if one is None or other is None:
            continue
        one, other = one.nan_to_num(), other.nan_to_num()
        same = one.shape == other.shape and (one == other).flatten(1 if one.dim() > 1 else 0)
        if same is False or not bool(same.all()):
            at = 0 if same is False else int((~same.reshape(len(one), -1)).any(1).nonzero()[0])
            return indices[at]
    return None


def _parts(source: Source, indices: Sequence[int]) -> tuple[Tensor | None, ...]:
    inputs, targets = source.read(indices)
    return (*parts_of(inputs), targets)


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
    return InputError(f"{name!r}: reading a sample raised {one_line(error)}")
