"""Random small models: operators times shapes times types, the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

CLASSES = 5
Step = Callable[[list[Tensor]], Tensor]


class RandomModel(nn.Module):
    """A stem, random operators on the values so far, and a linear layer on means of the last.

    Args:
        seed: Of the choice of operators; weights follow torch's own generator.
        steps: Number of operators.
    """

    def __init__(self, seed: int, *, steps: int = 6) -> None:
        super().__init__()
        self.random = random.Random(seed)
        # Position dims: images, lines, volumes; 0 are tokens.
        self.rank = self.random.choice([2, 2, 2, 2, 1, 3, 0, 0])
        self.layers = nn.ModuleList()
        self.said: list[str] = []
        self.steps: list[Step] = []
        width = self.random.choice([6, 8])
        generator = torch.Generator().manual_seed(seed)
        if self.rank:
            side = {1: (9,), 2: (8, 8), 3: (4, 5, 4)}[self.rank]
            self.example = torch.randn(2, 3, *side, generator=generator)
            self._add("stem", self._layer(CONVS[self.rank](3, width, 3, padding=1)))
        else:
            self.example = torch.randn(2, 6, 3, generator=generator)
            self._add("stem", self._layer(nn.Linear(3, width)))
        # Which operator fits depends on the shapes so far: they are run as they are chosen.
        values = [self.steps[0]([self.example])]
        while len(self.steps) <= steps:
            try:
                name, step = self._choose(values)
                with torch.no_grad():
                    value = step(values)
            except (RuntimeError, IndexError, ValueError):
                continue
            if 2 <= value.dim() <= 5 and value.shape[0] == 2 and value.is_floating_point():
                self._add(name, step)
                values.append(value)
        last = values[-1].float().flatten(2).mean(2) if values[-1].dim() > 2 else values[-1]
        self.fc = nn.Linear(last.shape[1], CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        values = [self.steps[0]([x])]
        for step in self.steps[1:]:
            values.append(step(values))
        last = values[-1].float()
        return self.fc(last.flatten(2).mean(2) if last.dim() > 2 else last)

    def _add(self, name: str, step: Step) -> None:
        self.said.append(name)
        self.steps.append(step)

    def _layer(self, layer: nn.Module) -> Step:
        self.layers.append(layer)
        return lambda values: layer(values[-1].float())

    def _choose(self, values: list[Tensor]) -> tuple[str, Step]:
        kind = self.random.choice([self._product, self._norm, self._plain, self._plain, self._pair])
        return kind(values)

    def _product(self, values: list[Tensor]) -> tuple[str, Step]:
        shape, out = values[-1].shape, self.random.choice([4, 6, 8])
        if len(shape) == self.rank + 2 and self.rank and self.random.random() < 0.8:
            width, conv, transposed = shape[1], CONVS[self.rank], TRANSPOSED[self.rank]
            layer: nn.Module = self.random.choice(
                [
                    lambda: conv(width, out, 3, padding=1),
                    lambda: conv(width, out, 1),
                    lambda: conv(width, width, 3, padding=1, groups=width),
                    lambda: conv(width, 2 * width, 1, groups=width),
                    lambda: conv(width, width, 3, padding=1, groups=2),
                    lambda: parametrizations.weight_norm(conv(width, out, 1)),
                    lambda: transposed(width, out, 2, stride=2),
                    lambda: transposed(width, width, 2, groups=2),
                    lambda: transposed(width, width, 2, groups=width),
                    lambda: transposed(width, 2 * width, 1, groups=width),
                ]
            )()
        else:
            layer = self.random.choice(
                [
                    lambda: nn.Linear(shape[-1], out),
                    lambda: nn.Linear(shape[-1], out, bias=False),
                    lambda: parametrizations.weight_norm(nn.Linear(shape[-1], out)),
                ]
            )()
        return type(layer).__name__, self._layer(layer)

    def _norm(self, values: list[Tensor]) -> tuple[str, Step]:
        shape = values[-1].shape
        layer: nn.Module = self.random.choice(
            [
                lambda: NORMS[self.rank](shape[1]),
                lambda: nn.GroupNorm(2, shape[1]),
                lambda: nn.GroupNorm(shape[1], shape[1]),
                lambda: nn.GroupNorm(shape[1], shape[1], affine=False),
                lambda: nn.LayerNorm(shape[-1]),
                lambda: nn.RMSNorm(shape[-1]),
                lambda: nn.InstanceNorm2d(shape[1], affine=True),
                lambda: nn.PReLU(shape[1]),
            ]
        )()
        return type(layer).__name__, self._layer(layer)

    def _plain(self, values: list[Tensor]) -> tuple[str, Step]:
        name = self.random.choice(sorted(PLAIN))
        function, dim = PLAIN[name], self.random.choice([1, -1])
        return name, lambda values: function(values[-1], dim)

    def _pair(self, values: list[Tensor]) -> tuple[str, Step]:
        name = self.random.choice(sorted(PAIRS))
        function, which = PAIRS[name], self.random.randrange(len(values))
        dim = self.random.choice([1, -1])
        return name, lambda values: function(values[-1], values[which], dim)


def _half(x: Tensor, dim: int) -> Tensor:
    return x.narrow(dim, 0, x.shape[dim] // 2)


def _swapped(x: Tensor, dim: int) -> Tensor:
    first, second = x.chunk(2, dim)
    return torch.cat([second, first], dim)


def _fold(x: Tensor, dim: int) -> Tensor:
    return x.unflatten(dim, (2, -1)).sum(dim if dim >= 0 else dim - 1)


def _without_grad(x: Tensor) -> Tensor:
    with torch.no_grad():
        return x.abs() + 1


def _in_bfloat16(x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return (x @ x.new_ones(x.shape[-1], 3)).to(x.dtype)


def _written(x: Tensor, dim: int) -> Tensor:
    x = x.clone()
    x[..., :1] = 0
    return x.add_(1)


CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORMS = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def _grouped_query(x: Tensor, *, how: str) -> Tensor:
    """Attend with four query heads to two key heads of one number each, over the last dim."""
    if x.shape[-1] < 6:
        raise ValueError("too few channels")
    query = x[..., :4].unsqueeze(-1).movedim(-2, 1)
    key = x[..., 4:6].unsqueeze(-1).movedim(-2, 1)
    if how == "native":
        mixed = F.scaled_dot_product_attention(query, key, key, enable_gqa=True)
    elif how == "expand":
        shape = (*key.shape[:2], 2, *key.shape[2:])
        many = key.unsqueeze(2).expand(shape).flatten(1, 2)
        mixed = F.scaled_dot_product_attention(query, many, many)
    else:
        many = key.repeat_interleave(2, 1)
        mixed = (query @ many.transpose(-1, -2)).softmax(-1) @ many
    return mixed.movedim(1, -2).flatten(-2)


PLAIN: dict[str, Callable[[Tensor, int], Tensor]] = {
    "relu": lambda x, dim: F.relu(x),
    "gelu": lambda x, dim: F.gelu(x),
    "hardswish": lambda x, dim: F.hardswish(x),
    "softmax": lambda x, dim: x.softmax(dim),
    "double": lambda x, dim: x.double(),
    "float": lambda x, dim: x.float(),
    "bfloat16": lambda x, dim: x.to(torch.bfloat16).float(),
    "to_itself": lambda x, dim: x.to(x.dtype),
    "type_as": lambda x, dim: x.type_as(torch.zeros(1)),
    "compared": lambda x, dim: x * (x > 0).to(x.dtype),
    "where": lambda x, dim: torch.where(x > 0, x, -x),
    "masked": lambda x, dim: x.masked_fill(x < 0, 0.1),
    "clamp": lambda x, dim: x.clamp(-1, 1),
    "written": _written,
    "unread": lambda x, dim: (x.double().sum(), x)[1],
    "transpose": lambda x, dim: x.transpose(1, -1),
    "flatten": lambda x, dim: x.flatten(1),
    "flatten_end": lambda x, dim: x.flatten(2),
    "unsqueeze": lambda x, dim: x.unsqueeze(dim),
    "squeeze": lambda x, dim: x.squeeze(),
    "mean": lambda x, dim: x.mean(dim),
    "mean_kept": lambda x, dim: x - x.mean(dim, keepdim=True),
    "amax": lambda x, dim: x.amax(dim, keepdim=True) - x,
    "norm": lambda x, dim: F.normalize(x, dim=dim),
    "std": lambda x, dim: x / (x.std(dim, keepdim=True) + 1),
    "half": _half,
    "swapped": _swapped,
    "fold": _fold,
    "every_second": lambda x, dim: x[:, ::2],
    "first": lambda x, dim: x[:, 0],
    "reversed": lambda x, dim: x.flip(dim),
    "rolled": lambda x, dim: x.roll(1, dim),
    "sorted": lambda x, dim: x.sort(dim).values,
    "topk": lambda x, dim: x.topk(2, dim).values,
    "cumsum": lambda x, dim: x.cumsum(dim),
    "indexed": lambda x, dim: x.index_select(dim, torch.tensor([1, 0])),
    "gathered": lambda x, dim: x.gather(dim, x.argsort(dim)),
    "padded": lambda x, dim: F.pad(x, (1, 1)),
    "pooled": lambda x, dim: F.max_pool2d(x, 2),
    "averaged": lambda x, dim: F.adaptive_avg_pool2d(x, 2),
    "resized": lambda x, dim: F.interpolate(x, scale_factor=2),
    "shuffled": lambda x, dim: F.pixel_shuffle(x, 2),
    "glu": lambda x, dim: F.glu(x, dim),
    "repeated": lambda x, dim: x.repeat_interleave(2, dim),
    "tiled": lambda x, dim: torch.cat([x, x], dim),
    "expanded": lambda x, dim: x[:, :1].expand(x.shape),
    "attended": lambda x, dim: F.scaled_dot_product_attention(x, x, x),
    "gqa_native": lambda x, dim: _grouped_query(x, how="native"),
    "gqa_expand": lambda x, dim: _grouped_query(x, how="expand"),
    "gqa_repeat": lambda x, dim: _grouped_query(x, how="repeat"),
    "group_norm": lambda x, dim: F.group_norm(x, x.shape[1]),
    "layer_norm": lambda x, dim: F.layer_norm(x, x.shape[2:]),
    "local_norm": lambda x, dim: F.local_response_norm(x, 3),
    "no_grad": lambda x, dim: _without_grad(x),
    "autocast": lambda x, dim: _in_bfloat16(x),
    "gram": lambda x, dim: x @ x.transpose(-1, -2),
    "bucketized": lambda x, dim: torch.bucketize(x, torch.arange(3.0)).to(x.dtype),
    "checked": lambda x, dim: (torch._check(x.shape[1] > 0), x)[1],
    "spectrum": lambda x, dim: torch.fft.rfft(x.float(), dim=dim).abs(),
}

PAIRS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "added": lambda x, y, dim: x + y,
    "multiplied": lambda x, y, dim: x * y.sigmoid(),
    "joined": lambda x, y, dim: torch.cat([x, y], dim),
    "stacked": lambda x, y, dim: torch.stack([x, y], dim).flatten(1, 2),
    "matmul": lambda x, y, dim: x @ y.transpose(-1, -2),
    "maximum": lambda x, y, dim: torch.maximum(x, y),
    "lerp": lambda x, y, dim: torch.lerp(x, y, 0.3),
    "crossed": lambda x, y, dim: torch.einsum("bc...,bc...->b...", x, y),
}
