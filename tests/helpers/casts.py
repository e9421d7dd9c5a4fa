"""Small models with casts, checks and values that nobody reads in their forward pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune

from tests.helpers.topologies import IMAGE, head


class Cast(nn.Module):
    """A plain network; what stands between its convolutions is up to the subclass."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 6, 3, padding=1)
        self.head = head(6)

    def between(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        x = self.between(F.relu(self.norm(self.first(x))))
        return self.head(F.relu(self.second(x)))


class ToFloat(Cast):
    def between(self, x: Tensor) -> Tensor:
        return x.float()


class ThroughDouble(Cast):
    def between(self, x: Tensor) -> Tensor:
        return (x.double() * 2).to(torch.float32)


class TypeAs(Cast):
    def between(self, x: Tensor) -> Tensor:
        return x.type_as(torch.zeros(1)) * 1.5


class Autocast(Cast):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().forward(x).float()


class AutocastOff(Cast):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


class HandWrittenNorm(Cast):
    """A root-mean-square norm over channels in float32, as language models write it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))

    def between(self, x: Tensor) -> Tensor:
        wide = x.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(1, keepdim=True) + 1e-6)
        return self.scale[:, None, None] * wide.to(x.dtype)


class NarrowMiddle(Cast):
    """A convolution whose weights are bfloat16 in a float32 network."""

    def __init__(self) -> None:
        super().__init__()
        self.second = self.second.to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x))).to(torch.bfloat16)
        return self.head(F.relu(self.second(x)).float())


class Hooks(Cast):
    """Masks of torch.nn.utils.prune that were never made permanent."""

    def __init__(self) -> None:
        super().__init__()
        prune.l1_unstructured(self.first, "weight", 0.3)
        prune.ln_structured(self.second, "weight", 0.25, n=1, dim=0)


class Unread(Cast):
    """Values that nobody reads."""

    def between(self, x: Tensor) -> Tensor:
        x.double().sum()
        return x


class ByValue(Cast):
    """Channels chosen by value, then cast: followed no further."""

    def between(self, x: Tensor) -> Tensor:
        return x * (x >= torch.topk(x, 3, dim=1).values[:, -1:]).float()


class Branches(Cast):
    """Control flow that depends on data: a graph within the graph."""

    def between(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda y: y * 2, lambda y: y * 3, (x,))


class DoubleOut(Cast):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).double()


Models = dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]

CASTS: Models = {
    "to_float": (ToFloat, IMAGE),
    "through_double": (ThroughDouble, IMAGE),
    "type_as": (TypeAs, IMAGE),
    "autocast_off": (AutocastOff, IMAGE),
    "hand_written_norm": (HandWrittenNorm, IMAGE),
    "hooks": (Hooks, IMAGE),
    "unread": (Unread, IMAGE),
    "by_value": (ByValue, IMAGE),
    "double_out": (DoubleOut, IMAGE),
}
# These round more than float32 does, or hold a graph within the graph.
OTHER_CASTS: Models = {
    "autocast": (Autocast, IMAGE),
    "narrow_middle": (NarrowMiddle, IMAGE),
    "branches": (Branches, IMAGE),
}
