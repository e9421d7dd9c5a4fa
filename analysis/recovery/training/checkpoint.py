"""A training that can go on: all of it in one file, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from analysis.files import atomic, write_text, writing
from analysis.recovery.training.update import TrainingPoint, read_history

FILE = "checkpoint.safetensors"
HISTORY = "history.jsonl"
# To be raised when a change of the program reads older files wrongly.
VERSION = 1


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
    facts = {"version": VERSION, "key": key, **checkpoint.facts}
    with writing(folder / FILE):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(folder / FILE) as partial:
            metadata = {"training": json.dumps(facts)}
            safetensors.torch.save_file(tensors, str(partial), metadata=metadata)


def read_checkpoint(folder: Path, key: str) -> Checkpoint | None:
    """Return the training of a key; None where there is none, another one, or a damaged file."""
    path = folder / FILE
    try:
        with safetensors.safe_open(str(path), framework="pt", device="cpu") as file:
            facts = json.loads(file.metadata()["training"])
            if (facts["version"], facts["key"]) != (VERSION, key):
                return None
            return Checkpoint(facts, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
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
        content.update(item.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()[:32]


class Generators:
    """Random generators of a training's own, in the place of the process's while it computes.

    Dropout and a user's augmentation draw from the process's generators: of torch (CPU and the
    device's), of `random`, and of NumPy, whose older functions share one of the process.

    Args:
        seed: Starts all of them.
        device: Where the model computes.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device
        before = self._found()
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        self._own = self._found()
        self._set(before)
        self._is_used = False

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Draw from these generators within the block; the process's are found as they were."""
        before = self._found()
        self._set(self._own)
        self._is_used = True
        try:
            yield
        finally:
            self._is_used = False
            self._own = self._found()
            self._set(before)

    def state(self) -> dict[str, Tensor]:
        """Return the states as they are now, within the block as well as outside."""
        return self._found() if self._is_used else dict(self._own)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned; outside the block."""
        self._own = dict(state)

    def _found(self) -> dict[str, Tensor]:
        version, words, gauss = random.getstate()
        whole: Any = np.random.get_state()  # noqa: NPY002
        _, keys, position, has_gauss, cached = whole
        found = {
            "torch": torch.get_rng_state(),
            "random": torch.tensor([version, *words]),
            "random_gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
            "numpy": torch.from_numpy(np.append(keys.astype(np.int64), (position, has_gauss))),
            "numpy_gauss": torch.tensor([cached], dtype=torch.float64),
        }
        if self._device.type != "cpu":
            found["device"] = torch.get_device_module(self._device).get_rng_state()
        return found

    def _set(self, state: Mapping[str, Tensor]) -> None:
        torch.set_rng_state(state["torch"])
        version, *words = state["random"].tolist()
        gauss = state["random_gauss"].tolist()
        random.setstate((version, tuple(words), gauss[0] if gauss else None))
        *keys, position, has_gauss = state["numpy"].tolist()
        numbers = np.array(keys, dtype=np.uint32)
        whole = ("MT19937", numbers, position, has_gauss, float(state["numpy_gauss"]))
        np.random.set_state(whole)  # noqa: NPY002
        if self._device.type != "cpu" and "device" in state:
            torch.get_device_module(self._device).set_rng_state(state["device"])
