"""Data sets in NumPy files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analysis.subjects.address import Address
from analysis.subjects.allowed_paths import Roots, check_path, missing
from analysis.subjects.data.sources import ArraySource
from pruners.errors import AddressError, one_line

ARRAYS = ("images", "labels", "documents")
TOKENS = (
    "; where these are numbers of tokens, give the text itself, text:FILE#tokens=TOKENIZER, or a "
    "function that returns TensorDataset(tokens, targets), FILE.py:FUNCTION"
)
Array = np.ndarray[Any, np.dtype[Any]]


def open_npz(address: Address, *, roots: Roots = None) -> ArraySource:
    """Open ``images`` (N,H,W[,C] uint8 or N,... float), ``labels`` (N, ...) and ``documents``.

    Float arrays ``(N,A,B)`` are pictures of one channel, or as they are to a model that takes no
    pictures of them: sounds ``(N,C,L)``, or rows of numbers.

    Labels are targets of the task; ``documents`` (N,) says which samples belong together. Both may
    be missing.

    uint8 images are scaled to 0..1; then ``mean`` and ``std`` are applied if given.

    Raises:
        AddressError: The file or an array is missing or not as described.
    """
    path = check_path(Path(address.name), roots=roots)
    arrays = _arrays(address, path)
    inputs = _inputs(address, arrays["images"])
    labels = _labels(address, arrays["labels"], len(inputs)) if "labels" in arrays else None
    documents = arrays.get("documents")
    scale = 255.0 if arrays["images"].dtype == np.uint8 else 1.0
    mean = _per_channel(address, "mean", inputs)
    std = _per_channel(address, "std", inputs)
    if std is not None and bool((std == 0).any()):
        raise AddressError(f"{address.text!r}: std must not be 0")

    def prepare(batch: Tensor) -> Tensor:
        result = batch.to(torch.float32, copy=True).div_(scale)
        if mean is not None:
            result.sub_(mean)
        return result.div_(std) if std is not None else result

    recipe = f"scale {scale} mean {address.options.get('mean')} std {address.options.get('std')}"
    return ArraySource(
        address.text,
        inputs=inputs,
        labels=labels,
        prepare=prepare,
        recipe=recipe,
        # Real numbers that nothing is subtracted from may have been prepared before.
        has_pixels=arrays["images"].dtype == np.uint8 or mean is not None,
        called="a label",
        documents=None if documents is None else _documents(address, documents, len(inputs)),
    )


def _arrays(address: Address, path: Path) -> dict[str, Array]:
    if not path.is_file():
        raise AddressError(f"{address.text!r}: {missing(Path(address.name))}")
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in ARRAYS if name in found}
            names = list(found)
            others = [name for name in names if name not in ARRAYS]
            advice = "" if "images" in arrays else _advice(found[name] for name in others)
    except Exception as error:
        # NumPy takes what it cannot read for pickled objects, and advises to run them.
        why = "" if "pickle" in str(error) else f" ({one_line(error)})"
        raise AddressError(
            f"{address.text!r}: not an npz file of plain arrays{why}; write one with "
            "numpy.savez(FILE, images=..., labels=...)"
        ) from None
    if "images" not in arrays:
        raise AddressError(
            f"{address.text!r}: no array 'images' in the file; found "
            f"{', '.join(names) or 'none'}{advice}"
        )
    return arrays


def _advice(arrays: Iterable[Array]) -> str:
    """Return what to do where one of the arrays may hold numbers of tokens."""
    whole = (item for item in arrays if item.dtype.kind in "iu")
    return TOKENS if any(item.ndim in {1, 2} for item in whole) else ""


def _inputs(address: Address, images: Array) -> Tensor:
    if images.dtype == np.uint8 and (images.ndim == 3 or _has_channels_last(images)):
        tensor = torch.from_numpy(images)
        return tensor[:, None] if images.ndim == 3 else tensor.permute(0, 3, 1, 2)
    if np.issubdtype(images.dtype, np.floating) and images.ndim >= 2:
        tensor = torch.from_numpy(images.astype(np.float32, copy=False))
        return tensor[:, None] if images.ndim == 3 else tensor
    raise AddressError(
        f"{address.text!r}: images must be uint8 (N,H,W[,C]) or float (N,C,H,W), (N,C,L) or "
        f"(N,F); found {images.dtype} {images.shape}{_advice([images])}"
    )


def _has_channels_last(images: Array) -> bool:
    """Return whether 4 dims end in what may be channels, and not in rows and columns."""
    return images.ndim == 4 and (images.shape[3] <= 4 or images.shape[1] > 4)


def _labels(address: Address, labels: Array, count: int) -> Tensor:
    if labels.ndim == 0 or len(labels) != count or labels.dtype.kind not in "iubf":
        raise AddressError(
            f"{address.text!r}: labels must be {count} targets, one a sample: class numbers, or "
            f"what the task asks for; found {labels.dtype} {labels.shape}"
        )
    is_wide = labels.dtype.kind == "u" and labels.dtype.itemsize > 1
    return torch.from_numpy(labels.astype(np.int64) if is_wide else labels)


def _documents(address: Address, documents: Array, count: int) -> Tensor:
    if documents.shape != (count,) or documents.dtype.kind not in "iu":
        raise AddressError(
            f"{address.text!r}: documents must be {count} whole numbers; found {documents.dtype} "
            f"{documents.shape}"
        )
    return torch.from_numpy(documents.astype(np.int64))


def _per_channel(address: Address, option: str, inputs: Tensor) -> Tensor | None:
    values = address.numbers(option)
    if values is None:
        return None
    channels = inputs.shape[1]
    if len(values) not in (1, channels):
        raise AddressError(
            f"{address.text!r}: {option} has {len(values)} numbers for {channels} channels"
        )
    return torch.tensor(values).reshape(-1, *[1] * (inputs.dim() - 2))
