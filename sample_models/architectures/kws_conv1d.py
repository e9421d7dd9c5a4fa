"""A small residual network of 1-D convolutions on raw audio."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn


class Block1d(nn.Module):
    """Two 1-D convolutions and a shortcut, added before the last ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the first convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(in_channels, out_channels, 5, stride, padding=2, bias=False)
        self.bn1 = nn.BatchNorm1d(out_channels)
        self.conv2 = nn.Conv1d(out_channels, out_channels, 5, padding=2, bias=False)
        self.bn2 = nn.BatchNorm1d(out_channels)
        self.downsample = nn.Sequential(
            nn.Conv1d(in_channels, out_channels, 1, stride, bias=False),
            nn.BatchNorm1d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.downsample(x))


class KWSConv1d(nn.Module):
    """A keyword classifier that reads one second of sound at 8 kHz.

    A learned filter bank on the raw samples as in W. Dai et al., "Very Deep Convolutional Neural
    Networks for Raw Waveforms", ICASSP 2017, arXiv:1610.00087, then residual blocks.

    Topology: 1-D convolutions and residual sums. Every stage has one block, so that each sum ties
    only the second convolution and the shortcut of that block.

    Args:
        num_classes: Number of outputs.
        widths: Channels of the filter bank and of each block.
    """

    def __init__(
        self, *, num_classes: int = 10, widths: tuple[int, ...] = (32, 32, 48, 64, 96)
    ) -> None:
        super().__init__()
        self.filters = nn.Conv1d(1, widths[0], 64, 8, padding=32, bias=False)
        self.bn = nn.BatchNorm1d(widths[0])
        self.blocks = nn.Sequential(
            *(
                Block1d(before, width, stride=4 if index == 0 else 2)
                for index, (before, width) in enumerate(itertools.pairwise(widths))
            )
        )
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a batch of sounds of shape (N, 1, 8000), scaled to -1..1."""
        x = self.blocks(F.relu(self.bn(self.filters(x))))
        x = F.adaptive_avg_pool1d(x, 1).flatten(1)
        logits: Tensor = self.classifier(x)
        return logits
