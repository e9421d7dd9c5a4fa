"""Random generators of a training's own."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.backends import cudnn


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
        """Draw from these generators within the block; the process's are found as they were.

        Meanwhile cuDNN takes kernels that give the same bits each time.
        """
        before, flags = self._found(), (cudnn.deterministic, cudnn.benchmark)
        self._set(self._own)
        cudnn.deterministic, cudnn.benchmark = True, False
        self._is_used = True
        try:
            yield
        finally:
            self._is_used = False
            self._own = self._found()
            self._set(before)
            cudnn.deterministic, cudnn.benchmark = flags

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
