"""Small models that the tests of the pruners share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 4


class SmallResidual(nn.Module):
    """Conv, batch norm, in-place ReLU, an in-place residual sum, depthwise, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
        self.grouped = nn.Conv2d(8, 12, 3, groups=2)
        self.head = nn.Linear(12, CLASSES)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, inputs: Tensor) -> Tensor:
        stem = self.relu(self.norm(self.stem(inputs)))
        branch = self.norm2(self.conv(stem))
        branch += stem
        hidden = self.relu(branch)
        hidden = F.relu(self.depthwise(hidden))
        hidden = F.gelu(self.grouped(hidden))
        return self.head(hidden.mean((2, 3)))


RESIDUAL_LAYERS = ("stem", "conv", "depthwise", "grouped", "head")


def small_residual(*, seed: int = 0) -> SmallResidual:
    """Return the model in eval mode with random weights, norms included."""
    torch.manual_seed(seed)
    model = SmallResidual()
    for norm in (model.norm, model.norm2):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.2)
        nn.init.normal_(norm.running_mean, std=0.2)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return model.eval().requires_grad_(False)


def image_batches(
    *, batches: int = 3, size: int = 6, labelled: bool = True, seed: int = 0
) -> list[tuple[Tensor, Tensor | None]]:
    """Return seeded random batches ``(size, 3, 9, 9)`` with labels or None."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(size, 3, 9, 9, generator=generator),
            torch.randint(0, CLASSES, (size,), generator=generator) if labelled else None,
        )
        for _ in range(batches)
    ]


class Conv1D(nn.Module):
    """A linear layer with its weight as GPT-2 keeps it, ``(in, out)``."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.nx, self.nf = linear.in_features, linear.out_features
        self.weight = nn.Parameter(linear.weight.detach().T.clone())
        self.bias = nn.Parameter(linear.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        flat = torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight)
        return flat.view(*x.shape[:-1], self.nf)


class OneLayer(nn.Module):
    """Any single layer, ReLU, and a mean over positions as the logits."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        if isinstance(self.layer, nn.MultiheadAttention):
            output = self.layer(inputs, inputs, inputs, need_weights=False)[0]
            return output.mean(1)
        output = F.relu(self.layer(inputs))
        return output.flatten(2).mean(2) if output.dim() > 2 else output


def one_layer(type_name: str, *, outputs: int = 6) -> tuple[OneLayer, Tensor]:
    """Return a model around one layer of the type, and an input batch of 5 samples."""
    torch.manual_seed(1)
    layers: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
        "Conv1d": (nn.Conv1d(4, outputs, 3, padding=1), (4, 9)),
        "Conv2d": (nn.Conv2d(4, outputs, 3, padding=1), (4, 6, 6)),
        "Conv3d": (nn.Conv3d(4, outputs, 2), (4, 4, 4, 4)),
        "ConvTranspose1d": (nn.ConvTranspose1d(4, outputs, 3, stride=2), (4, 6)),
        "ConvTranspose2d": (nn.ConvTranspose2d(4, outputs, 3, stride=2), (4, 4, 4)),
        "ConvTranspose3d": (nn.ConvTranspose3d(4, outputs, 2), (4, 3, 3, 3)),
        "Linear": (nn.Linear(4, outputs), (4,)),
        "Conv1D": (Conv1D(nn.Linear(4, outputs)), (4,)),
        "MultiheadAttention": (nn.MultiheadAttention(6, 2, batch_first=True), (5, 6)),
    }
    layer, shape = layers[type_name]
    inputs = torch.randn(5, *shape, generator=torch.Generator().manual_seed(2))
    return OneLayer(layer).eval().requires_grad_(False), inputs
