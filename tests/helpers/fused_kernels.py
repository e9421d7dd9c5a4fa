"""Stand-ins for kernels of cuDNN and cuBLAS, some of whose rectifiers turn NaN into 0."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

# Which kernel, and the shape of the weights that it got.
Call = tuple[str, tuple[int, ...]]
Places = tuple[int, int]


def hiding(values: Tensor) -> Tensor:
    """Rectify, and turn what is no number into 0."""
    return torch.where(values > 0, values, torch.zeros_like(values))


@contextlib.contextmanager
def fused_kernels(rectify: Callable[[Tensor], Tensor] = torch.relu) -> Iterator[list[Call]]:
    """Stand in for the kernels; yield the calls that they get."""
    seen: list[Call] = []

    def rectified(images: Tensor, weight: Tensor, bias: Tensor | None, *places: Places) -> Tensor:
        seen.append(("relu", tuple(weight.shape)))
        return rectify(functional.conv2d(images, weight, bias, *places))

    def summed(
        images: Tensor,
        weight: Tensor,
        added: Tensor,
        alpha: float,
        bias: Tensor | None,
        *places: Places,
    ) -> Tensor:
        seen.append(("sum", tuple(weight.shape)))
        found = functional.conv2d(images, weight, bias, *places)
        assert added.shape == found.shape
        assert added.stride() == found.stride()
        return rectify(found + alpha * added)

    def product(bias: Tensor, pixels: Tensor, matrix: Tensor) -> Tensor:
        seen.append(("product", tuple(matrix.shape)))
        return rectify(torch.addmm(bias, pixels, matrix))

    with (
        mock.patch.object(torch, "cudnn_convolution_relu", rectified),
        mock.patch.object(torch, "cudnn_convolution_add_relu", summed),
        mock.patch.object(torch, "_addmm_activation", product),
    ):
        yield seen
