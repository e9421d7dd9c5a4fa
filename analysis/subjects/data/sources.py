"""What a data address opens: samples by index, as inputs and labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, IterableDataset

from analysis.subjects.data.file_digests import FileDigests
from analysis.subjects.data.hashing import CHUNK, content_digest, hash_rows
from analysis.subjects.data.targets import sample_target
from analysis.tasks import CLASSIFICATION, Task
from pruners.batches import Inputs, Tensors, shape_of
from pruners.errors import AddressError, one_line
from pruners.user_code import no_exit

Batch = tuple[Inputs, Tensor | None]
# Orders of more samples would take more memory than there is.
MOST = 2**31
# Digests of files that remember none.
NOTHING = FileDigests()


class Source(Protocol):
    """Samples that can be read by index.

    Attributes:
        name: The address, for messages.
        class_names: Names of the classes; empty if unknown.
        notes: What a person should know of what was found there.
        mark: What its fingerprints begin with: not the same where less than all of the content
            was hashed once, so that fingerprints of older programs are told apart.
        is_told_by_reading: Whether nothing but reading the samples tells their content.
        blank: What pixels of zeros become, in a shape that broadcasts to an input; None where
            that is not known.
        token_bytes: Bytes of text that each token stands for, int64 ``(tokens,)``; None where
            that is not known.
    """

    name: str
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    mark: str
    is_told_by_reading: bool
    blank: Tensor | None
    token_bytes: Tensor | None

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def read_for(self, task: Task) -> None:
        """Read targets as a task takes them from now on; told once, before anything is read.

        Raises:
            AddressError: They are no targets of it.
        """
        ...

    def read(self, indices: Sequence[int]) -> Batch:
        """Return inputs ``(n, ...)`` and their targets ``(n, ...)`` or None; see `as_given`."""
        ...

    def documents(self, indices: Sequence[int]) -> Tensor | None:
        """Return the document that each sample is from, int64 ``(n,)``; None where none is known.

        Samples of one document depend on each other; intervals take that into account.
        """
        ...

    def digest(self, indices: Sequence[int], files: FileDigests = NOTHING) -> str:
        """Return a fingerprint of the whole content at the indices."""
        ...

    def check_classes(self, classes: int) -> tuple[str, ...]:
        """Say what is odd about labels of a model with so many classes, one sentence each.

        Raises:
            AddressError: The labels cannot be those of such a model.
        """
        ...


class ArraySource:
    """Samples in memory.

    Args:
        name: The address.
        inputs: Any numeric type ``(N, ...)``.
        labels: Targets ``(N, ...)`` or None, as `read_for` takes them.
        prepare: Turns a batch of ``inputs`` into what `as_given` says.
        class_names: Names of the classes.
        recipe: What ``prepare`` does, as a part of the fingerprint.
        has_pixels: Whether ``inputs`` are pixels, of which 0 is black.
        notes: What a person should know of them.
        called: What messages call a target.
        documents: The document of each sample, int64 ``(N,)``, where known.
        token_bytes: As `Source.token_bytes`.
    """

    mark = ""
    is_told_by_reading = False

    def __init__(
        self,
        name: str,
        *,
        inputs: Tensor,
        labels: Tensor | None,
        prepare: Callable[[Tensor], Tensor],
        class_names: tuple[str, ...] = (),
        recipe: str = "",
        has_pixels: bool = False,
        notes: tuple[str, ...] = (),
        called: str = "the target",
        documents: Tensor | None = None,
        token_bytes: Tensor | None = None,
    ) -> None:
        self.name = name
        self.token_bytes = token_bytes
        self.notes = notes
        self.class_names = class_names
        self._called, self._documents = called, documents
        self._inputs = inputs
        self._labels = labels
        self._prepare = prepare
        self._recipe = recipe
        black = torch.zeros(1, *inputs.shape[1:], dtype=inputs.dtype)
        self.blank = prepare(black)[0] if has_pixels else None

    def __len__(self) -> int:
        return len(self._inputs)

    def read_for(self, task: Task) -> None:
        """Read targets as a task takes them."""
        try:
            self._labels = None if self._labels is None else task.as_targets(self._labels)
        except ValueError as error:
            raise AddressError(f"{self.name!r}: {self._called} {error}") from None

    def documents(self, indices: Sequence[int]) -> Tensor | None:
        """Return the documents at the indices."""
        if self._documents is None:
            return None
        return self._documents[torch.as_tensor(indices, dtype=torch.int64)]

    def read(self, indices: Sequence[int]) -> Batch:
        """Return the samples at the indices."""
        at = torch.as_tensor(indices, dtype=torch.int64)
        labels = None if self._labels is None else self._labels[at]
        return self._prepare(self._inputs[at]), labels

    def digest(self, indices: Sequence[int], files: FileDigests = NOTHING) -> str:
        """Hash inputs and labels at the indices."""
        content = hashlib.sha256(self._recipe.encode())
        for tensor in (self._inputs, self._labels):
            content.update(b"none" if tensor is None else hash_rows(tensor, indices))
        return content.hexdigest()

    def check_classes(self, classes: int) -> tuple[str, ...]:
        """Arrays hold class numbers: there is nothing to say."""
        return ()


class MapSource:
    """A map-style data set of ``(input, target)`` or of inputs; several are a tuple or a dict.

    Args:
        name: The address.
        dataset: Has ``__len__`` and ``__getitem__``.
        notes: What a person should know of it.
        blank: What pixels of zeros become, if that is known.

    Raises:
        AddressError: It is no such data set.
    """

    mark = "all-"
    is_told_by_reading = True
    token_bytes: Tensor | None = None

    def __init__(
        self,
        name: str,
        dataset: Any,
        notes: tuple[str, ...] = (),
        blank: Tensor | None = None,
    ) -> None:
        if reason := _no_map_style(dataset):
            raise AddressError(
                f"{name!r}: a data factory returns a map-style data set (with __len__ and "
                f"__getitem__), this one returned {reason}"
            )
        self.name = name
        self.class_names = _class_names(dataset)
        self.notes = notes
        self.blank = blank
        self._dataset = dataset
        self._count = _count(name, dataset)
        self._task: Task = CLASSIFICATION
        # What inputs lie in, where they are several; that of the first sample that is read.
        self._form: pytree.TreeSpec | None = None

    def __len__(self) -> int:
        return self._count

    def read_for(self, task: Task) -> None:
        """Read targets as a task takes them."""
        self._task = task

    def documents(self, indices: Sequence[int]) -> Tensor | None:
        """Return the data set's own ``documents`` ``(N,)`` at the indices, where it has them."""
        found = getattr(self._dataset, "documents", None)
        if found is None:
            return None
        known = torch.as_tensor(found).long()
        if known.shape != (self._count,):
            raise AddressError(
                f"{self.name!r}: documents are one number a sample; found shape "
                f"{tuple(known.shape)} for {self._count} samples"
            )
        return known[torch.as_tensor(indices, dtype=torch.int64)]

    def read(self, indices: Sequence[int]) -> Batch:
        """Return the samples at the indices."""
        inputs, labels = [], []
        for index in indices:
            value, target = self._sample(index)
            inputs.append(value)
            labels += target
        found = [shape_of(item[None]) for item in inputs]
        if len(set(found)) > 1:
            other = next(shape for shape in found if shape != found[0])
            raise AddressError(f"{self.name!r}: samples differ in shape: {found[0]} and {other}")
        if len({tuple(item.shape) for item in labels}) > 1:
            raise AddressError(f"{self.name!r}: targets differ in shape")
        stacked = torch.stack(inputs) if inputs else torch.empty(0)
        return stacked, torch.stack(labels) if labels else None

    def _sample(self, index: int) -> tuple[Any, list[Tensor]]:
        """Read one sample and its target, if it has one.

        Raises:
            AddressError: The data set raised, or what it gave is no sample.
        """
        try:
            with no_exit():
                item = self._dataset[index]
            value, target = self._parts(item, index)
            found = [self._label(part, index) for part in target]
            return self._input(value, index), [item for item in found if item is not None]
        except (AddressError, MemoryError):
            raise
        except Exception as error:
            # A user's data set may raise anything.
            count = f"; its __len__ says {self._count}" if isinstance(error, IndexError) else ""
            raise AddressError(
                f"{self.name!r}: reading sample {index} raised {one_line(error)}{count}"
            ) from error

    def _parts(self, item: Any, index: int) -> tuple[Any, tuple[Any, ...]]:
        """Split a sample into its input and its target, if it has one."""
        if isinstance(item, dict):
            raise AddressError(
                f"{self.name!r}: sample {index} is a dict of {', '.join(map(str, item))}; a data "
                "set gives (input, target)"
            )
        if not isinstance(item, tuple | list):
            return item, ()
        if not 1 <= len(item) <= 2:
            raise AddressError(
                f"{self.name!r}: sample {index} has {len(item)} parts, and nothing says which is "
                "the target; a data set gives (input, target)"
            )
        return item[0], tuple(item[1:])

    def _input(self, value: Any, index: int) -> Inputs:
        if isinstance(value, Mapping):
            value = {str(name): part for name, part in value.items()}
        elif isinstance(value, tuple | list) and value:
            value = tuple(value)
        else:
            return self._tensor(value, index)
        if self._form is None:
            self._form = pytree.tree_structure(value)
        try:
            # Also in its order: that of a dict means nothing.
            parts = self._form.flatten_up_to(value)
        except ValueError as error:
            raise AddressError(
                f"{self.name!r}: the inputs of sample {index} are others than those of the "
                f"samples before it: {one_line(error)}"
            ) from None
        return Tensors((self._tensor(part, index) for part in parts), self._form)

    def _tensor(self, value: Any, index: int) -> Tensor:
        if not isinstance(value, Tensor | np.ndarray):
            raise AddressError(
                f"{self.name!r}: sample {index} is a {type(value).__name__}; a data set gives "
                "tensors (add a transform)"
            )
        tensor = torch.as_tensor(value).detach()
        if tensor.is_complex():
            raise AddressError(f"{self.name!r}: sample {index} is complex; inputs are real numbers")
        return as_given(tensor)

    def _label(self, value: Any, index: int) -> Tensor | None:
        try:
            return sample_target(value, self._task)
        except ValueError as error:
            raise AddressError(f"{self.name!r}: the target of sample {index} {error}") from None

    def digest(self, indices: Sequence[int], files: FileDigests = NOTHING) -> str:
        """Hash what code makes of the samples at the indices, a few at a time."""
        parts = range(0, len(indices), CHUNK)
        return content_digest(self.read(indices[first : first + CHUNK]) for first in parts)

    def check_classes(self, classes: int) -> tuple[str, ...]:
        """Say where the data names another number of classes than the model has."""
        if not self.class_names or len(self.class_names) == classes:
            return ()
        return (
            f"The data names {len(self.class_names)} classes, the model gives {classes} logits: "
            "labels may not mean what the model was trained on.",
        )


def as_given(values: Tensor) -> Tensor:
    """Return integers that may be numbers of tokens as int64, and everything else as float32."""
    is_whole = values.dtype in (torch.int64, torch.int32)
    return values.long() if is_whole else values.float()


def _no_map_style(dataset: Any) -> str:
    """Return what a data set is instead of map-style, in words; empty if it is."""
    kind = f"a {type(dataset).__name__}"
    if isinstance(dataset, DataLoader):
        return f"{kind}; return its .dataset"
    if isinstance(dataset, IterableDataset):
        return f"{kind}, which only gives samples in a row; return a list of them"
    if isinstance(dataset, tuple) and any(isinstance(item, Tensor) for item in dataset):
        return f"{kind} of tensors; return TensorDataset(inputs, labels)"
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        return kind
    return ""


def _count(name: str, dataset: Any) -> int:
    """Return the length of a data set, which a user's code says."""
    try:
        with no_exit():
            count = len(dataset)
    except Exception as error:
        raise AddressError(f"{name!r}: its __len__ raised {one_line(error)}") from error
    if count > MOST:
        raise AddressError(
            f"{name!r}: its __len__ says {count} samples; at most {MOST} can be read"
        )
    return count


def _class_names(dataset: Any) -> tuple[str, ...]:
    """Return the names of the classes, also of a part of a data set; empty if unknown."""
    for _ in range(8):
        found = getattr(dataset, "classes", None)
        if found is not None or not hasattr(dataset, "dataset"):
            break
        # Subset holds the whole there.
        dataset = dataset.dataset
    try:
        return tuple(str(item) for item in found or ())
    except (TypeError, ValueError):
        return ()
