"""A small VGG: a chain of 3x3 convolutions with batch normalization."""

from __future__ import annotations

from torch import Tensor, nn


def _conv_bn_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


class VGGSmall(nn.Module):
    """VGG with batch normalization, narrowed for 28x28 images.

    K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
    Recognition", ICLR 2015, arXiv:1409.1556; batch normalization as in the "VGG-BN" variants.

    Topology: a chain. Five conv-BN-ReLU blocks with 2x2 max pooling after the first, third and
    fifth, then two linear layers. The last convolution feeds a linear layer through a flatten,
    so that one channel is nine columns of the linear weight.

    Args:
        num_classes: Number of outputs.
    """

    def __init__(self, *, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv_bn_relu(1, 24),
            nn.MaxPool2d(2),
            *_conv_bn_relu(24, 40),
            *_conv_bn_relu(40, 40),
            nn.MaxPool2d(2),
            *_conv_bn_relu(40, 80),
            *_conv_bn_relu(80, 80),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(1),
            nn.Linear(80 * 3 * 3, 128),
            nn.ReLU(inplace=True),
            nn.Linear(128, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a normalized batch of shape (N, 1, 28, 28)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits
