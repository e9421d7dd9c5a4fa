"""Inputs of a layer as columns, so that each layer is the matrix product ``W @ columns``.

Shape suffixes: ``N`` samples, ``G`` convolution groups, ``D`` columns' length ``I/G*K`` in the
order of the flattened output-first weight, ``T`` tokens (samples x positions).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners.layers import CONV_TYPES, TRANSPOSED_TYPES, Conv1D

# Unfolded inputs are k*k times as large as the inputs: samples are unfolded in chunks.
CHUNK_BYTES = 64 * 2**20


def column_length(module: nn.Module) -> int:
    """Return ``D``, the number of weights that one output channel reads."""
    if isinstance(module, CONV_TYPES + TRANSPOSED_TYPES):
        return module.in_channels // module.groups * math.prod(module.kernel_size)
    if isinstance(module, nn.MultiheadAttention):
        return int(module.embed_dim)
    if isinstance(module, Conv1D):
        return module.nx
    assert isinstance(module, nn.Linear)
    return module.in_features


def columns(module: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    """Yield the inputs of a layer as columns ``(G, D, T)``, a chunk of samples at a time.

    With ``w`` the output-first weight of group ``g`` as a matrix ``(O/G, D)``, ``w @ columns[g]``
    is the layer's output without bias, for convolutions of any padding, stride and dilation,
    transposed ones included.
    """
    if not isinstance(module, CONV_TYPES + TRANSPOSED_TYPES):
        yield inputs.reshape(-1, inputs.shape[-1]).T[None]
        return
    windows = _windows(module, padded(module, inputs))
    size = windows[0].numel() * windows.element_size()
    for chunk in torch.split(windows, max(1, CHUNK_BYTES // max(size, 1))):
        yield _matrix(module, chunk)


def _matrix(module: nn.Module, windows: Tensor) -> Tensor:
    """Turn windows ``(N, I, *positions, *kernel)`` into ``(G, D, T)``."""
    dims = (windows.dim() - 2) // 2
    groups = int(cast(Any, module).groups)
    channels = windows.shape[1]
    kernel = list(range(2 + dims, 2 + 2 * dims))
    positions = list(range(2, 2 + dims))
    moved = windows.permute(1, *kernel, 0, *positions)
    depth = math.prod(windows.shape[2 + dims :])
    return moved.reshape(groups, channels // groups * depth, -1)


def _windows(module: nn.Module, spread: Tensor) -> Tensor:
    """Return all receptive fields ``(N, I, *positions, *kernel)`` as a view where possible."""
    conv = cast(Any, module)
    transposed = isinstance(module, TRANSPOSED_TYPES)
    result = spread
    for axis, size in enumerate(conv.kernel_size):
        dilation = conv.dilation[axis]
        stride = 1 if transposed else conv.stride[axis]
        result = result.unfold(2 + axis, (size - 1) * dilation + 1, stride)[..., ::dilation]
    if transposed:
        # A transposed convolution is a plain one with the kernel turned round.
        dims = len(conv.kernel_size)
        result = result.flip(tuple(range(result.dim() - dims, result.dim())))
    return result


def padded(module: nn.Module, inputs: Tensor) -> Tensor:
    """Pad the inputs as the layer does; a transposed convolution spreads them out first."""
    conv = cast(Any, module)
    if isinstance(module, CONV_TYPES):
        pads = list(conv._reversed_padding_repeated_twice)
        if not any(pads):
            return inputs
        if conv.padding_mode == "zeros":
            return F.pad(inputs, pads)
        return F.pad(inputs, pads, mode=conv.padding_mode)
    spread = inputs
    for axis, stride in enumerate(conv.stride):
        spread = _insert_zeros(spread, dim=2 + axis, stride=stride)
    pads = []
    for axis in reversed(range(len(conv.kernel_size))):
        reach = conv.dilation[axis] * (conv.kernel_size[axis] - 1) - conv.padding[axis]
        pads += [reach, reach + conv.output_padding[axis]]
    return F.pad(spread, pads)


def _insert_zeros(inputs: Tensor, *, dim: int, stride: int) -> Tensor:
    if stride == 1:
        return inputs
    size = (inputs.shape[dim] - 1) * stride + 1
    shape = list(inputs.shape)
    shape[dim] = size
    spread = inputs.new_zeros(shape)
    positions = torch.arange(0, size, stride, device=inputs.device)
    return spread.index_copy_(dim, positions, inputs)
