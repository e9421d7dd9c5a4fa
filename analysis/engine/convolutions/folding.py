"""Batch norms that can be folded into the convolution before them, and the folding."""

from __future__ import annotations

import operator
from collections.abc import Mapping

import torch
from torch import Tensor, fx

from analysis.engine.operators import BATCH_NORM


def norm_scale(gamma: Tensor | None, var: Tensor, eps: float) -> Tensor:
    """Return what a batch norm multiplies each channel with, ``(O,)``.

    ``y = gamma * (w x + b - mean) / sqrt(var + eps) + beta``; in float64 (float32 where the device
    has none), so that the only rounding is that of the result.
    """
    wide = torch.float64 if var.device.type != "mps" else torch.float32
    scale = torch.rsqrt(var.to(wide) + eps)
    return scale if gamma is None else scale * gamma.to(wide)


def folded_weight(weight: Tensor, scale: Tensor) -> Tensor:
    """Return the weight ``(O, ...)`` of a convolution that includes the batch norm after it."""
    shape = (-1, *([1] * (weight.dim() - 1)))
    return (weight.to(scale.dtype) * scale.reshape(shape)).to(weight.dtype)


def folded_bias(
    weight: Tensor, bias: Tensor | None, beta: Tensor | None, mean: Tensor, scale: Tensor
) -> Tensor:
    """Return the bias ``(O,)`` of a convolution that includes the batch norm after it."""
    wide = scale.dtype
    shift = -mean.to(wide) if bias is None else bias.to(wide) - mean.to(wide)
    shift = shift * scale
    return (shift if beta is None else shift + beta.to(wide)).to(weight.dtype)


def following_norm(conv: fx.Node, output: str, names: Mapping[fx.Node, str]) -> fx.Node | None:
    """Return the batch norm that is the only reader of a convolution and can be folded into it."""
    if len(conv.users) != 1 or conv.name == output:
        return None
    norm = next(iter(conv.users))
    if norm.target is not BATCH_NORM or norm.args[0] is not conv or first_result(norm) is None:
        return None
    transposed = conv.target is torch.ops.aten.convolution.default and bool(conv.args[6])
    statistics = [item for item in norm.args[1:5] if isinstance(item, fx.Node)]
    known = all(item in names for item in (*statistics, *conv_state(conv)))
    return norm if known and not transposed else None


def first_result(norm: fx.Node) -> fx.Node | None:
    """Return the node that takes the first result of a batch norm, if nothing takes another."""
    getter = next(iter(norm.users)) if len(norm.users) == 1 else None
    if getter is None or getter.target is not operator.getitem or getter.args[1] != 0:
        return None
    return getter


def conv_state(conv: fx.Node) -> list[fx.Node]:
    """Return the nodes of weight and bias."""
    return [item for item in conv.args[1:3] if isinstance(item, fx.Node)]
