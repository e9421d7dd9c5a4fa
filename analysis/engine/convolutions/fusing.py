"""Convolutions that a CUDA device runs in one kernel with what follows them.

torch adds the bias of a convolution in a kernel of its own, which in channels-last layout takes as
long as the convolution; a rectifier is a third one, and the sum of a residual block a fourth. cuDNN
and cuBLAS do all of it where they write the values. The products are the same, multiplied as
`pruners.float32` says. Some of their rectifiers turn NaN into 0, where torch's keeps it: each
kernel is tried once on values that are no numbers, and one that hides them is not used.
"""

from __future__ import annotations

import enum
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from analysis.engine.operators import ADDITION, IMAGES, aten
from analysis.engine.steps import Step, traced

# The kernels count elements in 32 bits.
MOST_ELEMENTS = 2**31
# Which kernel is chosen hangs on shapes, and on addresses that are no multiple of so many bytes.
ALIGNMENT = 16
# What a convolution takes after inputs, weight and bias.
DEFAULTS = (1, 0, 1, 1)

_Pair = tuple[int, int]


class Fusing(enum.IntEnum):
    """What is written in the kernel of a convolution, each with all before it."""

    NOTHING = 0
    RECTIFIERS = 1
    SUMS = 2


def can_fuse(device: torch.device) -> bool:
    """Return whether a device has such kernels."""
    return device.type == "cuda" and torch.version.hip is None and torch.backends.cudnn.enabled


def _is_recorded() -> bool:
    """Return whether work is recorded, and nothing can be waited for."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


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

    stride: _Pair
    padding: _Pair
    dilation: _Pair
    channels_last: bool
    rectifies: bool
    covers: int
    _keeping: dict[tuple[Any, ...], bool] = field(default_factory=dict, repr=False, compare=False)

    def run(
        self, images: Tensor, weight: Tensor, bias: Tensor | None, added: Tensor | None = None
    ) -> Tensor | None:
        """Return the values ``(N, O, h, w)``; None where the plain operator is to be run.

        Args:
            images: ``(N, I, H, W)``.
            weight: ``(O, I, kh, kw)``.
            bias: ``(O,)`` or None.
            added: What is added before the rectifier, ``(N, O, h, w)``.
        """
        if not self._fits(images, weight):
            return None
        if self.rectifies and self._keeps_nan(images, weight, bias, added):
            return self._rectified(images, weight, bias, added)
        if added is not None or not self._is_product(weight):
            return None
        found = self._product(images, weight, bias)
        return found.relu_() if self.covers else found

    def _fits(self, images: Tensor, weight: Tensor) -> bool:
        if images.dim() != IMAGES:
            return False
        count, inputs, height, width = images.shape
        outputs = len(weight) * (height // self.stride[0] + 2) * (width // self.stride[1] + 2)
        return 0 < count * max(inputs * height * width, outputs) < MOST_ELEMENTS

    def _is_product(self, weight: Tensor) -> bool:
        is_pixel = weight.shape[2:] == self.stride == (1, 1) and self.padding == (0, 0)
        return self.channels_last and is_pixel

    def _keeps_nan(
        self, images: Tensor, weight: Tensor, bias: Tensor | None, added: Tensor | None
    ) -> bool:
        """Return whether the rectifying kernel for such tensors keeps NaN, as torch's does.

        The first time this runs it, on NaN alone, and waits for the device.
        """
        if images.data_ptr() % ALIGNMENT:
            return False
        key = (images.dtype, images.shape, weight.shape, bias is None, added is None)
        if key not in self._keeping:
            if _is_recorded():
                return False
            nothing = torch.full_like(images, torch.nan)
            found = self._rectified(nothing, weight, bias, added)
            self._keeping[key] = bool(found.isnan().all())
        return self._keeping[key]

    def _rectified(
        self, images: Tensor, weight: Tensor, bias: Tensor | None, added: Tensor | None
    ) -> Tensor:
        places = (self.stride, self.padding, self.dilation, 1)
        if added is not None:
            layout = torch.channels_last if self.channels_last else torch.contiguous_format
            added = added.contiguous(memory_format=layout)
            found: Tensor = torch.cudnn_convolution_add_relu(
                images, weight, added, 1.0, bias, *places
            )
        elif self._is_product(weight):
            found = self._product(images, weight, bias, rectified=True)
        else:
            found = torch.cudnn_convolution_relu(images, weight, bias, *places)
        return found

    def _product(
        self, images: Tensor, weight: Tensor, bias: Tensor | None, *, rectified: bool = False
    ) -> Tensor:
        """Return the values as a product of pixels ``(N H W, I)`` and weights ``(I, O)``."""
        count, inputs, height, width = images.shape
        pixels = images.permute(0, 2, 3, 1).reshape(-1, inputs)
        matrix = weight.flatten(1).t()
        if bias is None:
            found = pixels @ matrix
            found = found.relu_() if rectified else found
        elif rectified:
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
    places = _places(step.body)
    if places is None:
        return None
    first = step.tail[0] if step.tail else None
    return Fusion(
        *places,
        channels_last,
        rectifies=first is not None and _reads_rectified(first),
        covers=int(first is not None and first.target is aten.relu.default),
    )


def rectified_sum(
    body: fx.Node, value: fx.Node, known: Container[fx.Node], output: str
) -> tuple[fx.Node, fx.Node] | None:
    """Return the sum that alone reads a value and is only rectified, and what else it adds.

    Args:
        body: A convolution; None is returned for one that is run by itself.
        value: What it gives, after a norm that is folded in.
        known: The nodes before it.
        output: Name of the node that yields the output.
    """
    total = next(iter(value.users)) if len(value.users) == 1 else None
    if total is None or total.target is not ADDITION or total.kwargs or _places(body) is None:
        return None
    others = [item for item in total.args if item is not value]
    other = others[0] if len(others) == 1 else None
    if not isinstance(other, fx.Node) or other not in known or output in (value.name, total.name):
        return None
    readers = list(total.users)
    is_rectified = len(readers) == 1 and readers[0].target is aten.relu.default
    is_same = len({_traced_as(node) for node in (value, other, total)}) == 1
    return (total, other) if is_rectified and is_same else None


def _traced_as(node: fx.Node) -> object:
    value = traced(node)
    if not isinstance(value, Tensor) or value.dim() != IMAGES:
        return node
    return value.dtype, tuple(str(size) for size in value.shape)


def _reads_rectified(node: fx.Node) -> bool:
    """Return whether a step of a tail gives the same of rectified values."""
    if node.target is aten.hardtanh.default:
        return node.args[1:2] in ((0,), (0.0,))
    return node.target in (aten.relu.default, aten.relu6.default)


def _places(body: fx.Node) -> tuple[_Pair, _Pair, _Pair] | None:
    """Return stride, padding and dilation of a convolution that can be run in one kernel."""
    given = body.args[3:]
    if body.target is not aten.conv2d.default or body.kwargs:
        return None
    all_given: list[Any] = [*given, *DEFAULTS[len(given) :]]
    stride, padding, dilation, groups = all_given
    if groups != 1 or any(isinstance(item, fx.Node) for item in given):
        return None
    return _pair(stride), _pair(padding), _pair(dilation)


def _pair(value: Any) -> _Pair:
    both = [value] if isinstance(value, int) else list(value)
    return (both[0], both[-1])
