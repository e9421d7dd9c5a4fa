"""Convolutions that a CUDA device runs in one kernel with their bias and the rectifier after it.

torch adds the bias of a convolution in a kernel of its own, which in channels-last layout takes as
long as the convolution; a rectifier is a third one. cuDNN and cuBLAS do all of it where they write
the values. The products are the same, multiplied as `pruners.float32` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from analysis.engine.operators import IMAGES, aten
from analysis.engine.steps import Step

# The kernels count elements in 32 bits.
MOST_ELEMENTS = 2**31
# What a convolution takes after inputs, weight and bias.
DEFAULTS = (1, 0, 1, 1)


def can_fuse(device: torch.device) -> bool:
    """Return whether a device has such kernels."""
    return device.type == "cuda" and torch.version.hip is None and torch.backends.cudnn.enabled


@dataclass(frozen=True, slots=True)
class Fusion:
    """How a 2-d convolution is run with what follows it.

    Attributes:
        stride: Its stride.
        padding: Its padding.
        dilation: Its dilation.
        channels_last: Whether images are in that layout.
        rectifies: Whether values below 0 become 0.
        covers: How many steps of the tail that makes unnecessary.
    """

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    channels_last: bool
    rectifies: bool
    covers: int

    def run(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
        """Return the values ``(N, O, h, w)``; None where the plain operator is to be run.

        Args:
            images: ``(N, I, H, W)``.
            weight: ``(O, I, kh, kw)``.
            bias: ``(O,)`` or None.
        """
        if not self._fits(images, weight):
            return None
        is_product = weight.shape[2:] == self.stride == (1, 1) and self.padding == (0, 0)
        if self.channels_last and is_product:
            return self._product(images, weight, bias)
        if not self.rectifies:
            return None
        places = (self.stride, self.padding, self.dilation)
        found: Tensor = torch.cudnn_convolution_relu(images, weight, bias, *places, 1)
        return found

    def _fits(self, images: Tensor, weight: Tensor) -> bool:
        if images.dim() != IMAGES:
            return False
        count, inputs, height, width = images.shape
        outputs = len(weight) * (height // self.stride[0] + 2) * (width // self.stride[1] + 2)
        return 0 < count * max(inputs * height * width, outputs) < MOST_ELEMENTS

    def _product(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the values as a product of pixels ``(N H W, I)`` and weights ``(I, O)``."""
        count, inputs, height, width = images.shape
        pixels = images.permute(0, 2, 3, 1).reshape(-1, inputs)
        matrix = weight.flatten(1).t()
        if bias is None:
            found = pixels @ matrix
            found = found.relu_() if self.rectifies else found
        elif self.rectifies:
            found = torch._addmm_activation(bias, pixels, matrix)
        else:
            found = torch.addmm(bias, pixels, matrix)
        return found.reshape(count, height, width, -1).permute(0, 3, 1, 2)


def fusion_of(step: Step, *, channels_last: bool) -> Fusion | None:
    """Return how a convolution is run in one kernel; None where that cannot be.

    Args:
        step: The convolution.
        channels_last: Whether images are in that layout.
    """
    body, given = step.body, step.body.args[3:]
    if body.target is not aten.conv2d.default or body.kwargs:
        return None
    all_given: list[Any] = [*given, *DEFAULTS[len(given) :]]
    stride, padding, dilation, groups = all_given
    if groups != 1 or any(isinstance(item, fx.Node) for item in given):
        return None
    first = step.tail[0] if step.tail else None
    return Fusion(
        _pair(stride),
        _pair(padding),
        _pair(dilation),
        channels_last,
        rectifies=first is not None and _reads_rectified(first),
        covers=int(first is not None and first.target is aten.relu.default),
    )


def _reads_rectified(node: fx.Node) -> bool:
    """Return whether a step of a tail gives the same of rectified values."""
    if node.target is aten.hardtanh.default:
        return node.args[1:2] in ((0,), (0.0,))
    return node.target in (aten.relu.default, aten.relu6.default)


def _pair(value: Any) -> tuple[int, int]:
    both = [value] if isinstance(value, int) else list(value)
    return (both[0], both[-1])
