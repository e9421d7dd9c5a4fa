"""The architectures, one file and one topology each."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from sample_models.architectures.densenet_small import DenseNetSmall
from sample_models.architectures.kws_conv1d import KWSConv1d
from sample_models.architectures.lenet5 import LeNet5
from sample_models.architectures.llama_tiny import LlamaTiny
from sample_models.architectures.mobilenet_small import MobileNetSmall
from sample_models.architectures.resnet20 import ResNet20
from sample_models.architectures.unet_small import UNetSmall
from sample_models.architectures.vgg_small import VGGSmall
from sample_models.architectures.vit_tiny import ViTTiny

ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "lenet5": LeNet5,
    "vgg_small": VGGSmall,
    "resnet20": ResNet20,
    "mobilenet_small": MobileNetSmall,
    "densenet_small": DenseNetSmall,
    "vit_tiny": ViTTiny,
    "llama_tiny": LlamaTiny,
    "unet_small": UNetSmall,
    "kws_conv1d": KWSConv1d,
}

__all__ = [
    "ARCHITECTURES",
]
