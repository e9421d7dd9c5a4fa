"""How each gradient statistic grows batch by batch: plain functions, one entry a statistic.

Shape suffixes: ``O`` output channels, ``D`` weights of one output channel, ``B`` block length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pruners.errors import UnsupportedError, one_line

MOMENTUM = 0.9


@dataclass(frozen=True, slots=True)
class GradientStatistic:
    """A statistic of the loss gradient of one layer's weight.

    Attributes:
        description: What it holds, with its shape.
        update: ``(state or None, gradient, weight, block) -> state``; tensors are output-first.
        is_mean: The state is divided by the number of batches at the end.
    """

    description: str
    update: Callable[[Tensor | None, Tensor, Tensor, int], Tensor]
    is_mean: bool = True


def gradients(loss: Tensor, tensors: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Return the gradients of a loss by some tensors; None for those that it does not depend on.

    Raises:
        UnsupportedError: The model gives none.
    """
    try:
        return torch.autograd.grad(loss, tensors, allow_unused=True)
    except RuntimeError as error:
        raise UnsupportedError(
            f"the model gives no gradients ({one_line(error)}); leave out the criteria and repairs "
            "that need them, or write its forward pass without what stands in the way"
        ) from error


def _add(state: Tensor | None, term: Tensor) -> Tensor:
    return term.clone() if state is None else state.add_(term)


def in_blocks(tensor: Tensor, block: int) -> Tensor:
    """Cut each output channel's weights into blocks ``(O, ceil(D/B), B)``, zero padded.

    ``B`` is ``block``, or ``D`` where a channel has fewer weights.
    """
    rows = tensor.flatten(1)
    block = min(block, rows.shape[1])
    return F.pad(rows, (0, -rows.shape[1] % block)).reshape(rows.shape[0], -1, block)


def _squared_product(state: Tensor | None, grad: Tensor, weight: Tensor, block: int) -> Tensor:
    return _add(state, (grad * weight).square())


def _gate_square(state: Tensor | None, grad: Tensor, weight: Tensor, block: int) -> Tensor:
    return _add(state, (grad * weight).flatten(1).sum(1).square())


def _mean_gradient(state: Tensor | None, grad: Tensor, weight: Tensor, block: int) -> Tensor:
    return _add(state, grad)


def _abs_gradient(state: Tensor | None, grad: Tensor, weight: Tensor, block: int) -> Tensor:
    return _add(state, grad.abs())


def _momentum(state: Tensor | None, grad: Tensor, weight: Tensor, block: int) -> Tensor:
    product = (grad * weight).abs()
    return product if state is None else state.mul_(MOMENTUM).add_(product)


def _fisher_blocks(state: Tensor | None, grad: Tensor, weight: Tensor, block: int) -> Tensor:
    blocks = in_blocks(grad, block)
    return _add(state, torch.einsum("obi,obj->obij", blocks, blocks))


GRADIENT_STATISTICS: dict[str, GradientStatistic] = {
    "squared_product": GradientStatistic(
        "mean over batches of (gradient * weight)^2, the weight's shape", _squared_product
    ),
    "gate_square": GradientStatistic(
        "mean over batches of (sum over the filter of gradient * weight)^2, (O,)", _gate_square
    ),
    "mean_gradient": GradientStatistic(
        "mean over batches of the gradient, the weight's shape", _mean_gradient
    ),
    "abs_gradient": GradientStatistic(
        "mean over batches of |gradient|, the weight's shape", _abs_gradient
    ),
    "product_momentum": GradientStatistic(
        f"s <- {MOMENTUM} s + |gradient * weight| batch by batch, the weight's shape",
        _momentum,
        is_mean=False,
    ),
    "fisher_blocks": GradientStatistic(
        "mean over batches of the outer products of the gradient within blocks of each filter's "
        "flattened weights, (O, ceil(D/B), B, B)",
        _fisher_blocks,
    ),
}


def added(old: Sequence[Tensor | None], new: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return sums of gradients, one a layer; None where no loss depends on it."""
    pairs = zip(old, new, strict=True)
    return [one if two is None else two if one is None else one + two for one, two in pairs]
