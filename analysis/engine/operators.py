"""Which ATen operators the compiled program treats specially, and how it runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten

# Dimensions of a batch of images, which have two layouts.
IMAGES = 4

CONVOLUTIONS = frozenset(
    {
        aten.conv1d.default,
        aten.conv2d.default,
        aten.conv3d.default,
        aten.conv1d.padding,
        aten.conv2d.padding,
        aten.conv3d.padding,
        aten.convolution.default,
    }
)
# The kinds whose weight is (outputs, inputs, ...) for certain.
PLAIN_CONVOLUTIONS = frozenset({aten.conv2d.default, aten.conv2d.padding})
BATCH_NORM = aten._native_batch_norm_legit_no_training.default
ADDITION = aten.add.Tensor

# Operators that always return new memory, never a view of an input: what they return may be
# overwritten by the step that reads it last.
FRESH = CONVOLUTIONS | frozenset(
    {
        BATCH_NORM,
        ADDITION,
        aten.addmm.default,
        aten.linear.default,
        aten.mm.default,
        aten.bmm.default,
        aten.mul.Tensor,
        aten.sub.Tensor,
        aten.div.Tensor,
        aten.cat.default,
        aten.relu.default,
        aten.gelu.default,
        aten.silu.default,
        aten.hardswish.default,
        aten.hardtanh.default,
        aten.relu6.default,
        aten.leaky_relu.default,
        aten.elu.default,
        aten.hardsigmoid.default,
        aten.mish.default,
        aten.sigmoid.default,
        aten.tanh.default,
        aten.layer_norm.default,
    }
)

# A view cannot be taken of every memory layout; a reshape can.
REPLACED: dict[Any, Callable[..., Any]] = {
    aten.view.default: torch.reshape,
    aten._unsafe_view.default: torch.reshape,
}

# Operators whose meaning depends on strides: no other memory layout is safe with them.
STRIDED = frozenset({aten.as_strided.default, aten.as_strided_copy.default})


def _relu(value: Tensor) -> Tensor:
    return value.relu_()


def _hardtanh(value: Tensor, low: float = -1.0, high: float = 1.0) -> Tensor:
    return torch.nn.functional.hardtanh_(value, low, high)


def _silu(value: Tensor) -> Tensor:
    return torch.nn.functional.silu(value, inplace=True)


def _hardswish(value: Tensor) -> Tensor:
    return torch.nn.functional.hardswish(value, inplace=True)


def _clamp(value: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    return value.clamp_(low, high)


# Element-wise operators that can overwrite their input. `gelu` has no in-place form.
IN_PLACE: dict[Any, Callable[..., Tensor]] = {
    aten.relu.default: _relu,
    aten.hardtanh.default: _hardtanh,
    aten.silu.default: _silu,
    aten.hardswish.default: _hardswish,
    aten.clamp.default: _clamp,
    aten.relu6.default: torch.ops.aten.relu6_.default,
    aten.leaky_relu.default: torch.ops.aten.leaky_relu_.default,
    aten.elu.default: torch.ops.aten.elu_.default,
    aten.hardsigmoid.default: torch.ops.aten.hardsigmoid_.default,
    aten.mish.default: torch.ops.aten.mish_.default,
    aten.sigmoid.default: torch.ops.aten.sigmoid_.default,
    aten.tanh.default: torch.ops.aten.tanh_.default,
}
