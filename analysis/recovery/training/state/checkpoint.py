"""A training that can go on: all of it in one file, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from analysis.files import atomic, write_text, writing
from analysis.recovery.training.update import TrainingPoint, read_history
from pruners.preserve import raw_bytes

FILE = "checkpoint.safetensors"
HISTORY = "history.jsonl"
# To be raised when a change of the program reads older files wrongly.
VERSION = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All of a training.

    Attributes:
        facts: Step, seconds and other numbers, as JSON has them.
        tensors: By ``part/name``.
    """

    facts: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of a part by their names in it."""
        prefix = f"{name}/"
        return {
            key.removeprefix(prefix): tensor
            for key, tensor in self.tensors.items()
            if key.startswith(prefix)
        }


def parts(**named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of several parts, as `Checkpoint` names them."""
    return {f"{part}/{name}": item for part, items in named.items() for name, item in items.items()}


def write_checkpoint(folder: Path, key: str, checkpoint: Checkpoint) -> None:
    """Write a training into its folder.

    Args:
        folder: Made where it is missing.
        key: Identifies what is trained, and how.
        checkpoint: All of it.

    Raises:
        StoreError: The folder cannot be written.
    """
    tensors = {
        name: item.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, item in checkpoint.tensors.items()
    }
    facts = json.dumps({**checkpoint.facts, "version": VERSION, "key": key})
    with writing(folder / FILE):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(folder / FILE) as partial:
            metadata = {"training": facts, "digest": training_key(tensors, [facts])}
            safetensors.torch.save_file(tensors, str(partial), metadata=metadata)


def read_checkpoint(folder: Path, key: str) -> Checkpoint | None:
    """Return the training of a key; None where there is none, another one, or a damaged file."""
    path = folder / FILE
    try:
        with safetensors.safe_open(str(path), framework="pt", device="cpu") as file:
            text, digest = file.metadata()["training"], file.metadata()["digest"]
            facts = json.loads(text)
            if (facts["version"], facts["key"]) != (VERSION, key):
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Checkpoint(facts, tensors) if training_key(tensors, [text]) == digest else None
    except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError):
        return None


class Store:
    """Checkpoint and history of a training; does nothing without a folder.

    Args:
        folder: Of the training alone.
        key: Identifies what is trained, and how.
        seconds: A checkpoint is due after so many.
    """

    def __init__(self, folder: Path | None, key: str, *, seconds: float) -> None:
        self._folder, self._key, self._seconds = folder, key, seconds
        self._saved = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is old."""
        return self._folder is not None and time.monotonic() - self._saved >= self._seconds

    def open(self, step: int, *, is_new: bool) -> None:
        """Begin a history, or cut it back to the step of the checkpoint."""
        if self._folder is None:
            return
        path = self._folder / HISTORY
        kept = () if is_new else read_history(path)
        with writing(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_text(path, "".join(_line(point) for point in kept if point.step <= step))

    def append(self, point: TrainingPoint) -> None:
        """Add a point to the history."""
        if self._folder is None:
            return
        path = self._folder / HISTORY
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(_line(point))

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint."""
        if self._folder is not None:
            write_checkpoint(self._folder, self._key, checkpoint)
            self._saved = time.monotonic()


def _line(point: TrainingPoint) -> str:
    return json.dumps(point.to_dict()) + "\n"


def training_key(tensors: Mapping[str, Tensor], facts: Sequence[Any]) -> str:
    """Return what identifies a training by all that its result hangs on, as hexadecimal digits.

    Args:
        tensors: Weights and masks that it starts with.
        facts: All else, as JSON has it.
    """
    content = hashlib.sha256(json.dumps(facts).encode())
    for name, item in sorted(tensors.items()):
        content.update(f"{name}{item.dtype}{tuple(item.shape)}".encode())
        content.update(raw_bytes(item))
    return content.hexdigest()[:32]
