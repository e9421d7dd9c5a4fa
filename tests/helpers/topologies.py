"""Small models, one for each way in which channels are tied to each other."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 5
IMAGE = (2, 3, 8, 8)
TOKENS = (2, 6, 3)


def head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))


class Flattened(nn.Module):
    """Nine columns of the linear layer read each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc1 = nn.Linear(8 * 9, 12)
        self.fc2 = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.fc2(torch.sigmoid(self.fc1(torch.flatten(x, 1))))


class Grouped(nn.Module):
    """A grouped convolution between dense ones, and a depthwise one with two filters a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.bn = nn.BatchNorm2d(12)
        self.grouped = nn.Conv2d(12, 24, 3, groups=3)
        self.depthwise = nn.Conv2d(24, 48, 3, groups=24)
        self.head = head(48)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sigmoid(self.bn(self.stem(x)))
        return self.head(F.silu(self.depthwise(F.gelu(self.grouped(x)))))


class Concatenated(nn.Module):
    """Pre-activation on a concatenation, a sum over a concatenation, and squeeze-excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 6, 3, padding=1)
        self.b = nn.Conv2d(3, 10, 3, padding=1)
        self.bn = nn.BatchNorm2d(16)
        self.c = nn.Conv2d(16, 16, 3, padding=1)
        self.squeeze = nn.Conv2d(16, 4, 1)
        self.excite = nn.Conv2d(4, 16, 1)
        self.head = head(16)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.a(x), self.b(x)], 1)
        y = self.c(F.relu(self.bn(both))) + both
        scale = torch.sigmoid(self.excite(F.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        return self.head(y * scale)


class Shuffled(nn.Module):
    """Two halves, a channel shuffle and a split, as in ShuffleNet V2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.branch = nn.Conv2d(8, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.head = head(16)

    def forward(self, x: Tensor) -> Tensor:
        for branch in (self.branch, self.second):
            if branch is self.branch:
                x = F.relu(self.stem(x))
            left, right = x.chunk(2, dim=1)
            x = torch.cat([left, F.relu(branch(right))], 1)
            n, c, h, w = x.shape
            x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head(x)


class Split(nn.Module):
    """Slices of given sizes with a reader each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 1)
        self.one = nn.Conv2d(4, 6, 1)
        self.two = nn.Conv2d(8, 6, 1)
        self.head = head(6)

    def forward(self, x: Tensor) -> Tensor:
        one, two = torch.split(F.relu(self.stem(x)), [4, 8], dim=1)
        return self.head(F.relu(self.one(one) + self.two(two)))


class Shared(nn.Module):
    """A module used twice, a weight under two names, and a parameter outside of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(3, 8)
        self.twice = nn.Linear(8, 8)
        self.up = nn.Linear(8, 10, bias=False)
        self.again = nn.Linear(8, 10, bias=False)
        self.again.weight = self.up.weight
        self.weight = nn.Parameter(torch.randn(7, 10))
        self.scale = nn.Parameter(torch.randn(7))
        self.out = nn.Linear(7, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.enter(x.mean(1)))
        x = F.relu(self.twice(F.relu(self.twice(x))))
        x = F.gelu(self.up(x) * torch.sigmoid(self.again(x)))
        return self.out(F.relu(F.linear(x, self.weight) * self.scale))


class Tied(nn.Module):
    """A weight and its transpose."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(3, 8)
        self.shared = nn.Parameter(torch.randn(6, 8))
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.enter(x.mean(1)))
        return self.out(F.relu(F.relu(F.linear(x, self.shared)) @ self.shared))


class Transposed(nn.Module):
    """A transposed convolution, PReLU, instance norm, a pixel shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.act = nn.PReLU(6)
        self.wide = nn.Conv2d(6, 12, 1)
        self.last = nn.Conv2d(3, 4, 1)
        self.head = head(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.up(self.norm(self.stem(x))))
        return self.head(F.relu(self.last(F.relu(F.pixel_shuffle(self.wide(x), 2)))))


class GroupNormed(nn.Module):
    """Group norm mixes the channels of each half; a layer norm mixes all."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.norm = nn.GroupNorm(2, 8)
        self.next = nn.Conv2d(8, 6, 3)
        self.layer = nn.LayerNorm(6)
        self.out = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.next(F.relu(self.norm(self.stem(x))))
        return self.out(self.layer(x.permute(0, 2, 3, 1)).mean((1, 2)))


class Standardized(nn.Module):
    """A convolution whose weight is standardized over its inputs, and spatial attention."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.conv = nn.Conv2d(8, 6, 3)
        self.gate = nn.Conv2d(1, 1, 1)
        self.head = head(6)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.conv.weight
        rows = weight.reshape(1, len(weight), -1)
        weight = F.batch_norm(rows, None, None, training=True).reshape_as(weight)
        x = F.relu(F.conv2d(F.relu(self.stem(x)), weight, self.conv.bias))
        return self.head(x * torch.sigmoid(self.gate(x.mean(1, keepdim=True))))


class Mixer(nn.Module):
    """Linear layers over tokens and over channels, by turns."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.tokens1 = nn.Linear(6, 10)
        self.tokens2 = nn.Linear(10, 6)
        self.wide = nn.Linear(8, 12)
        self.narrow = nn.Linear(12, 8)
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = x + self.tokens2(F.gelu(self.tokens1(x.transpose(1, 2)))).transpose(1, 2)
        x = x + self.narrow(F.gelu(self.wide(x)))
        return self.out(x.mean(1))


class Attention(nn.Module):
    """Explicit attention: a table of position biases, a norm for each head, a class token."""

    def __init__(self, *, heads: int = 4, width: int = 16) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Linear(3, width)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, 7, width))
        self.table = nn.Parameter(torch.randn(13, heads))
        places = torch.arange(7)
        self.register_buffer("places", places[:, None] - places[None] + 6)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.query_norm = nn.LayerNorm(width // heads)
        self.project = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), self.embed(x)], 1) + self.position
        n, t, _ = x.shape
        query, key, value = (
            layer(x).view(n, t, self.heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        bias = self.table[self.places.view(-1)].view(7, 7, -1).permute(2, 0, 1)
        scores = self.query_norm(query) @ key.transpose(-2, -1) + bias.unsqueeze(0)
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(n, t, -1)
        return self.out(self.norm(x + self.project(mixed))[:, 0])


class MultiHead(nn.Module):
    """torch's own multi-head attention, which keeps its sizes in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 16)
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.out = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        return self.out((x + self.attention(x, x, x, need_weights=False)[0]).mean(1))


class BakedIn(nn.Module):
    """Sizes that no attribute tells: a view, a shortcut padded with zero channels, an index."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.next = nn.Conv2d(6, 10, 3, padding=1)
        self.last = nn.Conv2d(10, 4, 3)
        self.hidden = nn.Linear(4 * 36, 9)
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(self.next(x) + F.pad(x, (0, 0, 0, 0, 2, 2)))
        x = F.relu(self.last(x)).view(-1, 4 * 36)
        return self.out(F.relu(self.hidden(x))[:, 1:])


class Untraced(nn.Module):
    """An operator that no handler knows, between layers that can be pruned."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3)
        self.second = nn.Conv2d(6, 8, 3)
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.second(F.relu(self.first(x)))).mean((2, 3))
        return self.out(torch.sort(x, dim=1).values)


TOPOLOGIES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "flattened": (Flattened, IMAGE),
    "grouped": (Grouped, IMAGE),
    "concatenated": (Concatenated, IMAGE),
    "shuffled": (Shuffled, IMAGE),
    "split": (Split, IMAGE),
    "shared": (Shared, TOKENS),
    "tied": (Tied, TOKENS),
    "transposed": (Transposed, IMAGE),
    "group_normed": (GroupNormed, IMAGE),
    "standardized": (Standardized, IMAGE),
    "mixer": (Mixer, TOKENS),
    "attention": (Attention, TOKENS),
    "multi_head": (MultiHead, TOKENS),
    "baked_in": (BakedIn, IMAGE),
    "untraced": (Untraced, IMAGE),
}


def randomize(model: nn.Module, *, seed: int = 0) -> nn.Module:
    """Give all norms random statistics and affine parameters, so that a leak shows."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        with torch.no_grad():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("running_mean"):
                tensor.normal_(0, 0.3, generator=generator)
            elif isinstance(tensor, nn.Parameter) and tensor.dim() == 1:
                noise = torch.randn(tensor.shape, generator=generator)
                tensor.add_(0.3 * noise)
            elif isinstance(tensor, nn.Parameter) and not bool(tensor.any()):
                tensor.normal_(0, 0.3, generator=generator)
    return model.eval().requires_grad_(False)


def build_topology(name: str, *, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """Return a model in eval mode and an input batch."""
    from tests.helpers.casts import CASTS, OTHER_CASTS
    from tests.helpers.oddities import ODDITIES

    torch.manual_seed(seed)
    factory, shape = {**TOPOLOGIES, **ODDITIES, **CASTS, **OTHER_CASTS}[name]
    return randomize(factory(), seed=seed), torch.randn(shape)
