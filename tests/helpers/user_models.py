"""Small models of the kinds that users handed over: attention, norms, transposed convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from tests.helpers.topologies import head


class GroupedQuery(nn.Module):
    """Grouped-query attention: eight query heads, ``keys`` key and value heads.

    Args:
        how: How a key reaches its query heads.
        keys: Number of key heads.
    """

    def __init__(self, how: str, keys: int = 4) -> None:
        super().__init__()
        self.how, self.n_heads, self.n_kv_heads, self.head_dim = how, 8, keys, 4
        self.embed = nn.Linear(5, 32)
        self.query = nn.Linear(32, 32)
        self.key = nn.Linear(32, 4 * keys)
        self.value = nn.Linear(32, 4 * keys)
        self.project = nn.Linear(32, 32)
        self.out = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        n, t, _ = x.shape
        query, key, value = (
            layer(x).view(n, t, -1, self.head_dim).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = self.mixed(query, key, value).reshape(n, -1, t, self.head_dim)
        return self.out((x + self.project(mixed.transpose(1, 2).reshape(n, t, -1))).mean(1))

    def mixed(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        times = self.n_heads // self.n_kv_heads
        if self.how == "native":
            return F.scaled_dot_product_attention(query, key, value, enable_gqa=True)
        if self.how in ("broadcast", "einsum"):
            query = query.unflatten(1, (-1, times))
            if self.how == "broadcast":
                return F.scaled_dot_product_attention(query, key[:, :, None], value[:, :, None])
            scores = torch.einsum("bgrtd,bgsd->bgrts", query, key).softmax(-1)
            return torch.einsum("bgrts,bgsd->bgrtd", scores, value)
        if self.how == "unmerged":
            query = query.unflatten(1, (-1, times))
        key, value = (self.repeated(item, times) for item in (key, value))
        if self.how == "explicit":
            return (query @ key.transpose(-1, -2)).softmax(-1) @ value
        return F.scaled_dot_product_attention(query, key, value)

    def repeated(self, x: Tensor, times: int) -> Tensor:
        n, heads, t, d = x.shape
        if self.how == "interleave":
            return x.repeat_interleave(times, 1)
        if self.how == "tiled":
            return x[:, None].expand(n, times, self.n_kv_heads, t, d).reshape(n, -1, t, d)
        if self.how == "repeat":
            return x.unsqueeze(2).repeat(1, 1, times, 1, 1).flatten(1, 2)
        many = x[:, :, None].expand(n, self.n_kv_heads, times, t, d)
        return many if self.how == "unmerged" else many.reshape(n, heads * times, t, d)


class PerChannelNorm(nn.Module):
    """A norm with a group for each channel, as a module, a function, or by hand."""

    def __init__(self, norm: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3)
        self.norm = norm
        self.second = nn.Conv2d(16, 8, 3)
        self.head = head(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.second(F.relu(self.norm(self.first(x))))))


class Upward(nn.Module):
    """Transposed convolutions over any number of dims: grouped, depthwise, plain."""

    def __init__(self, dims: int, groups: int, filters: int) -> None:
        super().__init__()
        conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims]
        up = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[dims]
        self.first = conv(3, 8, 1)
        self.up = up(8, 12, 2, stride=2, groups=groups)
        self.depthwise = up(12, 12 * filters, 2, groups=12, bias=False)
        self.last = up(12 * filters, 6, 1)
        self.out = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.up(F.gelu(self.first(x))))
        return self.out(F.gelu(self.last(F.gelu(self.depthwise(x)))).flatten(2).mean(2))


class Magnitude(nn.Module):
    """A parametrization of a user's own."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight.abs()


class OwnLayer(nn.Module):
    """A layer that is not torch's, with a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 3, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight)


def _own(layer: nn.Module) -> nn.Module:
    parametrize.register_parametrization(layer, "weight", Magnitude())
    return layer


class Computed(nn.Module):
    """A first layer whose weight no criterion can score, before layers whose weight it can."""

    LAYERS: ClassVar[dict[str, Callable[[], nn.Module]]] = {
        "weight_norm": lambda: parametrizations.weight_norm(nn.Conv2d(3, 8, 3)),
        "weight_norm_of_all": lambda: parametrizations.weight_norm(nn.Conv2d(3, 8, 3), dim=None),
        "spectral_norm": lambda: parametrizations.spectral_norm(nn.Conv2d(3, 8, 3)),
        "orthogonal": lambda: parametrizations.orthogonal(nn.Conv2d(3, 8, 3)),
        "own": lambda: _own(nn.Conv2d(3, 8, 3)),
        "old_weight_norm": lambda: nn.utils.weight_norm(nn.Conv2d(3, 8, 3)),
        "old_spectral_norm": lambda: nn.utils.spectral_norm(nn.Conv2d(3, 8, 3)),
        "own_layer": OwnLayer,
    }

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first = self.LAYERS[how]()
        self.second = nn.Conv2d(8, 10, 3)
        self.fc = nn.Linear(10, 12)
        self.out = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.second(F.relu(self.first(x)))).mean((2, 3))
        return self.out(F.relu(self.fc(x)))


class TiedTranspose(nn.Module):
    """A square weight that makes channels along either dim, and in another place only one."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(5, 8)
        self.shared = nn.Linear(8, 8, bias=False)
        self.out = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.shared(F.relu(self.enter(x.mean(1)))))
        return self.out(F.relu(F.linear(x, self.shared.weight.t())))


class Folded(nn.Module):
    """Layers used twice, once with tokens first and folded into rows, with other token counts."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 16)
        self.wide = nn.Linear(16, 12)
        self.back = nn.Linear(12, 16)
        self.out = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        rows = x.transpose(0, 1).reshape(-1, 16)
        y = self.back(F.relu(self.wide(rows))).view(x.shape[1], x.shape[0], 16).transpose(0, 1)
        z = self.back(input=F.relu(self.wide(input=(x + y)[:, :3])))
        return self.out((x + y).mean(1) + z.mean(1))


class Encoder(nn.Module):
    """torch's transformer encoder, with tokens or samples first."""

    def __init__(self, *, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.embed = nn.Linear(5, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        if not self.batch_first:
            return self.out(self.encoder(x.transpose(0, 1)).mean(0))
        return self.out(self.encoder(x).mean(1))


class Squeezed(nn.Module):
    """Squeezes all dims of size 1 away: also that of a batch of one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.fc = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.adaptive_avg_pool2d(F.relu(self.conv(x)), 1).squeeze())


class Rooted(nn.Module):
    """Takes a root of its inputs, which are never negative."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = head(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.conv(x ** (1 / 2.2) + (1 - x).log())))


class NotSquare(TiedTranspose):
    """The tied weight has other numbers of rows and columns."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.shared = nn.Linear(5, 6), nn.Linear(6, 8, bias=False)
        self.out = nn.Linear(6, 4)


class AnyArguments(nn.Module):
    """A wrapper that hands on whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Squeezed()

    def forward(self, *args: Tensor, **kwargs: Tensor) -> Tensor:
        return self.inner(*args, **kwargs)


def made(kind: Callable[[], nn.Module]) -> nn.Module:
    """Return a model of the kind, the same one each time."""
    torch.manual_seed(0)
    return kind().eval()


def squeezed() -> nn.Module:
    return made(Squeezed)


def weight_normed() -> nn.Module:
    return made(lambda: Computed("weight_norm"))


def not_square() -> nn.Module:
    return made(NotSquare)


def tokens() -> torch.utils.data.TensorDataset:
    """Return inputs with labels that a model of this file gives."""
    inputs = torch.randn(60, 6, 5, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return torch.utils.data.TensorDataset(inputs, not_square()(inputs).argmax(1))


def images() -> torch.utils.data.TensorDataset:
    inputs = torch.randn(60, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return torch.utils.data.TensorDataset(inputs, weight_normed()(inputs).argmax(1))


def planes() -> torch.utils.data.TensorDataset:
    inputs = torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return torch.utils.data.TensorDataset(inputs, squeezed()(inputs).argmax(1))


class Shifted(torch.utils.data.TensorDataset):
    """Gives its tensors back changed."""

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        inputs, label = super().__getitem__(index)
        return inputs.flip(-1) + 1, label


def shifted() -> torch.utils.data.TensorDataset:
    return Shifted(torch.arange(12.0).reshape(4, 3), torch.arange(4))


class Augmented(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Gives other inputs at each read."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.randn(1, 8, 8), index % 10


def augmented() -> torch.utils.data.Dataset[tuple[Tensor, int]]:
    return Augmented()


class AsData(nn.Module):
    """Experts that see the samples that a gate gives them: how many, the data say."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 4)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        found = torch.zeros_like(x)
        threshold = torch.zeros(1, device=x.device)
        for number, expert in enumerate(self.experts):
            (places,) = torch.where((x[:, 0] > threshold) == bool(number))
            found = found.index_add(0, places, expert(x[places]))
        return self.last(found)
