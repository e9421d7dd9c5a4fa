"""A small DenseNet-BC: concatenation and pre-activation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DenseLayer(nn.Module):
    """BN-ReLU-conv1x1-BN-ReLU-conv3x3 whose output is appended to its input.

    Args:
        in_channels: Channels of the input.
        growth: Channels that the layer appends.
    """

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        hidden = 4 * growth
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, hidden, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the input and, behind it, the new channels."""
        out = self.conv1(F.relu(self.norm1(x)))
        out = self.conv2(F.relu(self.norm2(out)))
        return torch.cat([x, out], 1)


class Transition(nn.Module):
    """BN-ReLU-conv1x1 that halves the channels, then 2x2 average pooling.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the halved map."""
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


class DenseNetSmall(nn.Module):
    """DenseNet-BC with three blocks, growth 12 and a stride-2 stem.

    G. Huang, Z. Liu, L. van der Maaten, K. Q. Weinberger, "Densely Connected Convolutional
    Networks", CVPR 2017, arXiv:1608.06993.

    Topology: concatenation and pre-activation. Each convolution's channels appear, shifted, in
    the input of all later layers of its block, and each reader has its own batch normalization
    in front, so removing one channel slices many norms at different offsets.

    Args:
        num_classes: Number of outputs.
        growth: Channels appended by one layer.
        layers: Number of layers in each dense block.
    """

    def __init__(
        self, *, num_classes: int = 10, growth: int = 12, layers: tuple[int, ...] = (4, 6, 6)
    ) -> None:
        super().__init__()
        channels = 2 * growth
        self.stem = nn.Conv2d(1, channels, 3, 2, padding=1, bias=False)
        stages: list[nn.Module] = []
        for index, count in enumerate(layers):
            block = [DenseLayer(channels + i * growth, growth) for i in range(count)]
            stages.append(nn.Sequential(*block))
            channels += count * growth
            if index < len(layers) - 1:
                stages.append(Transition(channels, channels // 2))
                channels //= 2
        self.stages = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a normalized batch of shape (N, 1, 28, 28)."""
        x = F.relu(self.norm(self.stages(self.stem(x))))
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        logits: Tensor = self.classifier(x)
        return logits
