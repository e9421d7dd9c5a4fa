"""Small models that are written in ways which break assumptions about groups."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tests.helpers.topologies import CLASSES, IMAGE, TOKENS, head


class TwoSizes(nn.Module):
    """One convolution used at two resolutions, with a norm of its own each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.shared = nn.Conv2d(8, 8, 3, padding=1)
        self.fine = nn.BatchNorm2d(8)
        self.coarse = nn.BatchNorm2d(8)
        self.head = head(16)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        fine = F.relu(self.fine(self.shared(x)))
        coarse = F.relu(self.coarse(self.shared(F.avg_pool2d(x, 2))))
        return self.head(torch.cat([fine, F.interpolate(coarse, scale_factor=2)], 1))


class Lines(nn.Module):
    """Convolutions over one dim, plain, grouped and transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(3, 8, 3)
        self.norm = nn.BatchNorm1d(8)
        self.grouped = nn.Conv1d(8, 12, 3, groups=2)
        self.up = nn.ConvTranspose1d(12, 6, 2, stride=2)
        self.out = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.grouped(F.relu(self.norm(self.first(x)))))
        return self.out(F.adaptive_avg_pool1d(F.relu(self.up(x)), 1).flatten(1))


class Volumes(nn.Module):
    """Convolutions over three dims, plain, depthwise and transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(2, 8, 3, padding=1)
        self.norm = nn.BatchNorm3d(8)
        self.depthwise = nn.Conv3d(8, 8, 3, groups=8)
        self.up = nn.ConvTranspose3d(8, 6, 2, stride=2)
        self.out = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.depthwise(F.relu(self.norm(self.first(x)))))
        x = F.interpolate(x, scale_factor=(1, 2, 2), mode="trilinear")
        return self.out(F.adaptive_max_pool3d(F.relu(self.up(x)), 1).flatten(1))


class GroupedTransposed(nn.Module):
    """Transposed convolutions with groups, and depthwise with two filters a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 12, 2, stride=2, groups=4)
        self.depthwise = nn.ConvTranspose2d(12, 24, 2, groups=12)
        self.head = head(24)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.depthwise(F.relu(self.up(F.relu(self.stem(x)))))))


class BranchesGrouped(nn.Module):
    """Groups of a convolution that do not end where the concatenated branches do."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 6, 1)
        self.b = nn.Conv2d(3, 10, 1)
        self.c = nn.Conv2d(3, 8, 1)
        self.grouped = nn.Conv2d(24, 12, 3, groups=4)
        self.head = head(12)

    def forward(self, x: Tensor) -> Tensor:
        both = F.relu(torch.cat([self.a(x), self.b(x), self.c(x)], 1))
        return self.head(F.relu(self.grouped(both)))


class Parametrized(nn.Module):
    """Weights that weight norm and spectral norm compute."""

    def __init__(self) -> None:
        super().__init__()
        self.first = parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
        self.second = parametrizations.weight_norm(nn.Conv2d(8, 6, 3))
        self.spectral = parametrizations.spectral_norm(nn.Conv2d(6, 7, 1))
        self.head = head(7)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.spectral(F.relu(self.second(F.relu(self.first(x)))))))


class Gated(nn.Module):
    """Gated linear units: the operator, and halves with a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.wide = nn.Linear(8, 20)
        self.narrow = nn.Linear(10, 8)
        self.halves = nn.Linear(8, 12)
        self.back = nn.Linear(6, 8)
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = x + self.narrow(F.glu(self.wide(x), -1))
        value, gate = self.halves(x).chunk(2, -1)
        return self.out((x + self.back(value * F.silu(gate))).mean(1))


class KeyWidths(nn.Module):
    """Multi-head attention whose keys and values have widths of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(3, 16)
        self.key = nn.Linear(3, 8)
        self.value = nn.Linear(3, 12)
        self.attention = nn.MultiheadAttention(16, 4, kdim=8, vdim=12, batch_first=True)
        self.out = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.query(x), self.key(x), self.value(x)
        return self.out(self.attention(query, key, value, need_weights=False)[0].mean(1))


class OneKey(nn.Module):
    """Four query heads that share one key and one value (multi-query attention)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 16)
        self.query = nn.Linear(16, 16)
        self.shared = nn.Linear(16, 8)
        self.project = nn.Linear(16, 16)
        self.out = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        n, t, _ = x.shape
        query = self.query(x).view(n, t, 4, 4).transpose(1, 2)
        key, value = self.shared(x).view(n, t, 1, 8).transpose(1, 2).chunk(2, -1)
        key, value = key.expand(-1, 4, -1, -1), value.expand(-1, 4, -1, -1)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out((x + self.project(mixed.transpose(1, 2).reshape(n, t, -1))).mean(1))


class HiddenHeads(nn.Module):
    """A number of heads that no attribute tells, in a branch that hardly counts yet."""

    def __init__(self) -> None:
        super().__init__()
        self.k = 4
        self.embed = nn.Linear(3, 16)
        self.qkv = nn.Linear(16, 48)
        self.project = nn.Linear(16, 16)
        self.scale = nn.Parameter(torch.tensor(1e-5))
        self.out = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        n, t, _ = x.shape
        qkv = self.qkv(x).view(n, t, 3, self.k, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*qkv.unbind(0)).transpose(1, 2).reshape(n, t, -1)
        return self.out((x + self.scale * self.project(mixed)).mean(1))


class InPlace(nn.Module):
    """Parts that are overwritten, in zeros of the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.second = nn.Conv2d(8, 4, 1)
        self.third = nn.Conv2d(8, 6, 1)
        self.head = head(6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x), inplace=True)
        y = torch.zeros_like(x)
        y[:, :4] = self.second(x)
        y[:, 4:] += x[:, 4:]
        return self.head(F.relu(self.third(F.relu(y))))


class Numbered(nn.Module):
    """Channels that the code counts: every second one, one by one, repeated by a list."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Conv2d(3, 8, 3)
        self.single = nn.Conv2d(4, 3, 1)
        self.listed = nn.Conv2d(3, 4, 1)
        self.free = nn.Conv2d(10, 6, 1)
        self.head = head(6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.second(x))
        x = F.relu(self.single(x[:, ::2] + x[:, 1::2]))
        x = torch.stack([channel * (i + 1) for i, channel in enumerate(x.unbind(1))], 1)
        x = F.relu(self.listed(x))
        times = torch.tensor([1, 2, 3, 4], device=x.device)
        x = torch.repeat_interleave(x, times, dim=1, output_size=10)
        return self.head(F.relu(self.free(x)))


class PartlyRepeated(nn.Module):
    """Half of the channels are read twice, so that they cost more than the others."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.second = nn.Conv2d(12, 6, 1)
        self.head = head(6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        return self.head(F.relu(self.second(torch.cat([x, x[:, :4]], 1))))


class JoinedWeights(nn.Module):
    """A weight that is joined from three parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.query = nn.Parameter(torch.randn(6, 8))
        self.key = nn.Parameter(torch.randn(5, 8))
        self.value = nn.Parameter(torch.randn(4, 8))
        self.out = nn.Linear(15, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.cat([self.query, self.key, self.value])
        return self.out(F.relu(F.linear(F.relu(self.embed(x.mean(1))), weight)))


class Blurred(nn.Module):
    """A fixed kernel for all channels, as a view into the batch and expanded; other paddings."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.rand(1, 1, 3, 3))
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 6, 3, padding=1, padding_mode="circular")
        self.third = nn.Conv2d(6, 6, 3, padding=1, padding_mode="reflect")
        self.head = head(6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        n, c, h, w = x.shape
        x = F.conv2d(x.view(n * c, 1, h, w), self.kernel).view(n, c, h - 2, w - 2)
        x = F.relu(self.second(x))
        x = F.conv2d(x, self.kernel.expand(x.shape[1], -1, -1, -1), groups=x.shape[1])
        return self.head(F.relu(self.third(x)))


class Cosine(nn.Module):
    """Lengths that are divided out, of the features and of the rows of a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.second = nn.Linear(8, 6)
        self.weight = nn.Parameter(torch.randn(CLASSES, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(F.relu(self.first(x)).mean((2, 3)))
        return 10 * F.normalize(x) @ F.normalize(self.weight).t()


class Recurrent(nn.Module):
    """A recurrent layer, whose channels stay, between layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.gru = nn.GRU(8, 10, batch_first=True)
        self.hidden = nn.Linear(10, 7)
        self.out = nn.Linear(7, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.hidden(self.gru(F.relu(self.embed(x)))[0][:, -1])))


ODDITIES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "two_sizes": (TwoSizes, IMAGE),
    "lines": (Lines, (2, 3, 20)),
    "volumes": (Volumes, (2, 2, 6, 6, 6)),
    "grouped_transposed": (GroupedTransposed, IMAGE),
    "branches_grouped": (BranchesGrouped, IMAGE),
    "parametrized": (Parametrized, IMAGE),
    "gated": (Gated, TOKENS),
    "key_widths": (KeyWidths, TOKENS),
    "one_key": (OneKey, TOKENS),
    "hidden_heads": (HiddenHeads, TOKENS),
    "in_place": (InPlace, IMAGE),
    "numbered": (Numbered, IMAGE),
    "partly_repeated": (PartlyRepeated, IMAGE),
    "joined_weights": (JoinedWeights, TOKENS),
    "blurred": (Blurred, IMAGE),
    "cosine": (Cosine, IMAGE),
    "recurrent": (Recurrent, TOKENS),
}
