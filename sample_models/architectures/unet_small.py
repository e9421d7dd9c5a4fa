"""A small U-Net: an encoder and a decoder that concatenates the encoder's maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class UNetSmall(nn.Module):
    """U-Net with three levels of skips, for scenes of 64x64 pixels.

    O. Ronneberger, P. Fischer, T. Brox, "U-Net: Convolutional Networks for Biomedical Image
    Segmentation", MICCAI 2015, arXiv:1505.04597; padded, with batch normalization.

    Topology: concatenation skips and transposed convolutions. The channels of an encoder level are
    read by the next level and, in front of the upsampled ones, by its decoder level; a transposed
    convolution has its output channels in the second dimension of its weight.

    Args:
        num_classes: Number of outputs at each pixel.
        widths: Channels of each level, the bottom one last.
    """

    def __init__(
        self, *, num_classes: int = 11, widths: tuple[int, ...] = (16, 32, 64, 96)
    ) -> None:
        super().__init__()
        *skips, bottom = widths
        self.encoders = nn.ModuleList(
            _double_conv(before, width)
            for before, width in zip((1, *skips[:-1]), skips, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.bottom = _double_conv(skips[-1], bottom)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(below, width, 2, 2)
            for below, width in zip((bottom, *skips[:0:-1]), skips[::-1], strict=True)
        )
        self.decoders = nn.ModuleList(_double_conv(2 * width, width) for width in skips[::-1])
        self.head = nn.Conv2d(skips[0], num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes, 64, 64) of a normalized batch of shape (N, 1, 64, 64)."""
        skips = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for up, decoder, skip in zip(self.ups, self.decoders, reversed(skips), strict=True):
            x = decoder(torch.cat([skip, up(x)], 1))
        logits: Tensor = self.head(x)
        return logits
