"""What a data address opens: samples by index, as float32 inputs and labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pruners.errors import AddressError

Batch = tuple[Tensor, Tensor | None]


class Source(Protocol):
    """Samples that can be read by index.

    Attributes:
        name: The address, for messages.
        class_names: Names of the classes; empty if unknown.
    """

    name: str
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def read(self, indices: Sequence[int]) -> Batch:
        """Return float32 inputs ``(n, ...)`` and int64 labels ``(n,)`` or None."""
        ...

    def digest(self, indices: Sequence[int]) -> str:
        """Return a fingerprint of the content at the indices, cheap for large data."""
        ...


class ArraySource:
    """Samples in memory.

    Args:
        name: The address.
        inputs: Any numeric type ``(N, ...)``.
        labels: int64 ``(N,)`` or None.
        prepare: Turns a batch of ``inputs`` into float32.
        class_names: Names of the classes.
        recipe: What ``prepare`` does, as a part of the fingerprint.
    """

    def __init__(
        self,
        name: str,
        *,
        inputs: Tensor,
        labels: Tensor | None,
        prepare: Callable[[Tensor], Tensor],
        class_names: tuple[str, ...] = (),
        recipe: str = "",
    ) -> None:
        self.name = name
        self.class_names = class_names
        self._inputs = inputs
        self._labels = labels
        self._prepare = prepare
        self._recipe = recipe

    def __len__(self) -> int:
        return len(self._inputs)

    def read(self, indices: Sequence[int]) -> Batch:
        """Return the samples at the indices."""
        at = torch.as_tensor(indices, dtype=torch.int64)
        labels = None if self._labels is None else self._labels[at]
        return self._prepare(self._inputs[at]), labels

    def digest(self, indices: Sequence[int]) -> str:
        """Hash inputs and labels at the indices."""
        at = torch.as_tensor(indices, dtype=torch.int64)
        content = hashlib.sha256(self._recipe.encode())
        for tensor in (self._inputs, self._labels):
            content.update(b"none" if tensor is None else hash_bytes(tensor[at]))
        return content.hexdigest()


# Samples of a map-style data set whose content goes into the fingerprint; names and sizes of the
# others have to do, or opening a large data set would read all of it.
DIGEST_SAMPLES = 64


class MapSource:
    """A map-style data set of ``(input, target)`` or of inputs alone.

    Args:
        name: The address.
        dataset: Has ``__len__`` and ``__getitem__``.
    """

    def __init__(self, name: str, dataset: Any) -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise AddressError(
                f"{name!r}: a data factory returns a map-style data set (with __len__ and "
                f"__getitem__), this one returned a {type(dataset).__name__}"
            )
        self.name = name
        self.class_names = tuple(str(item) for item in getattr(dataset, "classes", ()) or ())
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, indices: Sequence[int]) -> Batch:
        """Return the samples at the indices."""
        inputs, labels = [], []
        for index in indices:
            item = self._dataset[index]
            pair = isinstance(item, tuple | list)
            inputs.append(self._input(item[0] if pair else item, index))
            if pair and len(item) > 1:
                labels.append(self._label(item[1], index))
        if len({tuple(item.shape) for item in inputs}) > 1:
            first = next(item.shape for item in inputs if item.shape != inputs[0].shape)
            raise AddressError(
                f"{self.name!r}: samples differ in shape: {tuple(inputs[0].shape)} and "
                f"{tuple(first)}"
            )
        stacked = torch.stack(inputs) if inputs else torch.empty(0)
        return stacked, torch.tensor(labels, dtype=torch.int64) if labels else None

    def _input(self, value: Any, index: int) -> Tensor:
        if not isinstance(value, Tensor | np.ndarray):
            raise AddressError(
                f"{self.name!r}: sample {index} is a {type(value).__name__}; a data set gives "
                "tensors (add a transform)"
            )
        tensor = torch.as_tensor(value)
        return tensor.float()

    def _label(self, value: Any, index: int) -> int:
        try:
            number = int(value)
        except (TypeError, ValueError):
            number, value = -1, f"a {type(value).__name__}"
        if number < 0 or number != value:
            raise AddressError(
                f"{self.name!r}: the target of sample {index} is {value}, not a class number"
            )
        return number

    def digest(self, indices: Sequence[int]) -> str:
        """Hash the length, file names, targets and the content of some samples."""
        content = hashlib.sha256(f"{len(self)}".encode())
        files = getattr(self._dataset, "samples", None)
        if isinstance(files, list):
            content.update(repr([files[index] for index in indices]).encode())
        content.update(repr(getattr(self._dataset, "transform", None)).encode())
        step = max(1, len(indices) // DIGEST_SAMPLES)
        for index in list(indices)[::step]:
            inputs, labels = self.read([index])
            content.update(hash_bytes(inputs))
            content.update(b"none" if labels is None else hash_bytes(labels))
        return content.hexdigest()


def hash_bytes(tensor: Tensor) -> bytes:
    """Return the SHA-256 digest of a tensor's type, shape and content."""
    plain = tensor.detach().cpu().contiguous()
    content = hashlib.sha256(f"{plain.dtype}{tuple(plain.shape)}".encode())
    # A view as bytes also covers the types that NumPy does not know.
    content.update(plain.reshape(-1).view(torch.uint8).numpy().data if plain.numel() else b"")
    return content.digest()
