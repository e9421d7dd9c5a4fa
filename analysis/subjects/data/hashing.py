"""Fingerprints of what samples hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from pruners.batches import Inputs, parts_of, shape_of
from pruners.preserve import raw_bytes

# Samples that are looked at at a time where all of them are hashed.
CHUNK = 64


def content_digest(batches: Iterable[tuple[Inputs, Tensor | None]]) -> str:
    """Return a digest of inputs and labels in order, however they are cut into batches."""
    inputs, labels = hashlib.sha256(), hashlib.sha256()
    shape: tuple[Any, ...] = ()
    more: list[Any] = []
    for values, targets in batches:
        first, *others = parts_of(values)
        shape = shape_of(values)
        inputs.update(raw_bytes(first))
        more = more or [hashlib.sha256() for _ in others]
        for part, content in zip(others, more, strict=True):
            content.update(raw_bytes(part))
        labels.update(b"none" if targets is None else raw_bytes(targets))
    rest = "".join(content.hexdigest() for content in more)
    return f"{shape}{inputs.hexdigest()}{rest}{labels.hexdigest()}"


def hash_bytes(tensor: Tensor) -> bytes:
    """Return the SHA-256 digest of a tensor's type, shape and content."""
    content = hashlib.sha256(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    content.update(raw_bytes(tensor))
    return content.digest()


def hash_rows(tensor: Tensor, indices: Sequence[int]) -> bytes:
    """Return `hash_bytes` of the rows at the indices, without a copy of all of them."""
    shape = (len(indices), *tensor.shape[1:])
    content = hashlib.sha256(f"{tensor.dtype}{shape}".encode())
    for first in range(0, len(indices), CHUNK):
        at = torch.as_tensor(indices[first : first + CHUNK], dtype=torch.int64)
        content.update(raw_bytes(tensor[at]))
    return content.digest()
