"""Weights beside the last ones: averaged over steps, and the best so far."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Average:
    """Weights averaged over steps, each step's share falling by a factor a step.

    Args:
        tensors: Weights and buffers of real numbers by name, before the first step.
        decay: The factor, 0..1.
    """

    def __init__(self, tensors: Mapping[str, Tensor], *, decay: float) -> None:
        self.tensors = {name: item.detach().clone() for name, item in tensors.items()}
        self._decay = decay
        self._is_new = True

    @torch.no_grad()
    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Take in the weights after a step."""
        for name, mean in self.tensors.items():
            if self._is_new:
                mean.copy_(tensors[name])
            else:
                mean.lerp_(tensors[name].detach(), 1 - self._decay)
        self._is_new = False

    def state(self) -> dict[str, Tensor]:
        """Return the averages."""
        return self.tensors | {":is_new": torch.tensor(self._is_new)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        for name, mean in self.tensors.items():
            mean.copy_(state[name])
        self._is_new = bool(state[":is_new"])


class Best:
    """The weights of the best score so far.

    Attributes:
        score: It; minus infinity before the first.
        step: The step after which it was found.
        tensors: Weights and buffers by name.
    """

    def __init__(self) -> None:
        self.score = -float("inf")
        self.step = 0
        self.tensors: dict[str, Tensor] = {}

    @property
    def is_start(self) -> bool:
        """Whether nothing was better than what the training started from."""
        return bool(self.tensors) and self.step == 0

    def see(
        self, score: float, step: int, tensors: Mapping[str, Tensor], *, ties: bool = False
    ) -> None:
        """Keep weights if their score is the best; of equal ones the first, or the last."""
        if score > self.score or (ties and score == self.score):
            self.score, self.step = score, step
            self.tensors = {name: item.detach().clone() for name, item in tensors.items()}

    def state(self) -> dict[str, Tensor]:
        """Return score, step and weights."""
        about = torch.tensor([self.score, self.step], dtype=torch.float64)
        return self.tensors | {":about": about}

    def load_state(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Go on from what `state` returned."""
        score, step = state[":about"].tolist()
        self.score, self.step = score, int(step)
        self.tensors = {name: item.to(device) for name, item in state.items() if name[0] != ":"}
