"""Products of a convolution's windows, without writing all of its columns.

Window ``a`` of a kernel's rows and window ``a + 1`` are the same rows of the padded inputs but one
that comes and one that goes. So of all pairs of windows those that are equally far apart are
computed once, and the others from it: of 3 by 3 kernels a third of the products, on a third of the
columns.

Shape suffixes: ``N`` samples, ``C`` channels, ``O`` outputs, ``D = C*KH*KW`` columns in the order
of the flattened weight, ``R = C*KW + 1`` columns of one row of the kernel, and a constant 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruners.statistics.unfolding import padded


def slides(module: nn.Module) -> bool:
    """Return whether a layer's windows can be multiplied so: rows that follow each other."""
    return (
        isinstance(module, nn.Conv2d)
        and module.groups == 1
        and module.kernel_size[0] > 1
        and module.stride[0] == module.dilation[0] == 1
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """Columns of one row of the kernel, for every row of the padded inputs.

    Attributes:
        rows: ``(R, H*N*W)``, one row of the inputs after the other.
        length: Tokens of a row, ``N*W``.
        count: Rows that a window has: those of the outputs.
    """

    rows: Tensor
    length: int
    count: int

    def at(self, first: int, count: int | None = None) -> Tensor:
        """Return so many rows from one on; as many as a window has by default."""
        end = first + (self.count if count is None else count)
        return self.rows[:, first * self.length : end * self.length]


def _windows(module: nn.Conv2d, inputs: Tensor, count: int) -> _Windows:
    width, step, gap = module.kernel_size[1], module.stride[1], module.dilation[1]
    spread = padded(module, inputs).unfold(3, (width - 1) * gap + 1, step)[..., ::gap]
    samples, channels, height, across, _ = spread.shape
    length = samples * across
    rows = spread.new_empty(channels * width + 1, height * length)
    rows[-1] = 1.0
    parts = rows[:-1].view(channels, width, height, samples, across)
    parts.copy_(spread.permute(1, 4, 2, 0, 3))
    return _Windows(rows, length, count)


def sliding_products(module: nn.Conv2d, inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sums over tokens ``x x'`` and ``y x'``, with x a layer's columns and a 1.

    Args:
        module: A layer that `slides`; its padding counts, not its channels.
        inputs: ``(N, C, H, W)``.
        outputs: y, ``(N, O, H, W)``, with the height and width of the layer's outputs.

    Returns:
        ``(D + 1, D + 1)`` and ``(O, D + 1)``, float64; products are of the inputs' type.
    """
    height, width = module.kernel_size
    windows = _windows(module, inputs, outputs.shape[2])
    channels = inputs.shape[1]
    rows = outputs.permute(1, 2, 0, 3).reshape(outputs.shape[1], -1)
    # Rows of the kernel first: the constant of each is the same one.
    pairs = _pairs(windows, height)
    gram = torch.stack([torch.stack(line, dim=1) for line in pairs])
    cross = torch.stack([(rows @ windows.at(row).T).double() for row in range(height)])
    inner = gram[:, :-1, :, :-1].reshape(height, channels, width, height, channels, width)
    depth = channels * height * width
    sums = gram[0, -1, :, :-1].reshape(height, channels, width).transpose(0, 1).reshape(depth)
    result = gram.new_empty(depth + 1, depth + 1)
    result[:-1, :-1] = inner.permute(1, 0, 2, 4, 3, 5).reshape(depth, depth)
    result[-1, :-1] = result[:-1, -1] = sums
    result[-1, -1] = gram[0, -1, 0, -1]
    mixed = cross[:, :, :-1].reshape(height, len(rows), channels, width)
    columns = mixed.permute(1, 2, 0, 3).reshape(len(rows), depth)
    return result, torch.cat([columns, cross[0, :, -1:]], dim=1)


def _pairs(windows: _Windows, height: int) -> list[list[Tensor]]:
    """Return the products ``(R, R)`` of each window with each, float64."""
    found: dict[tuple[int, int], Tensor] = {}
    for apart in range(height):
        product = (windows.at(0) @ windows.at(apart).T).double()
        for row in range(height - apart):
            other = row + apart
            if row:
                gone = windows.at(row - 1, 1) @ windows.at(other - 1, 1).T
                come = windows.at(row - 1 + windows.count, 1)
                come = come @ windows.at(other - 1 + windows.count, 1).T
                product = product + (come.double() - gone.double())
            found[row, other], found[other, row] = product, product.T
    return [[found[row, other] for other in range(height)] for row in range(height)]
