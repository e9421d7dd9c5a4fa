"""Convolutions without their zero columns."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from analysis.engine.convolutions import take_channels, used_columns


@pytest.mark.parametrize("kept", [0, 1, 3, 8, 15, 20, 24])
def test_the_smaller_convolution_gives_the_same_result(kept: int) -> None:
    generator = torch.Generator().manual_seed(kept)
    inputs = torch.randn(3, 24, 5, 6, generator=generator).to(memory_format=torch.channels_last)
    weight = torch.randn(7, 24, 3, 3, generator=generator)
    removed = torch.randperm(24, generator=generator)[kept:]
    weight[:, removed] = 0
    columns = used_columns(weight)
    if not 0 < kept <= 0.8 * 24:
        assert columns is None
        return
    assert columns is not None
    smaller = take_channels(inputs, columns)
    assert smaller.shape[1] == kept
    expected = F.conv2d(inputs, weight, padding=1, stride=2)
    found = F.conv2d(smaller, weight[:, columns], padding=1, stride=2)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_few_channels_are_left_as_they_are() -> None:
    weight = torch.zeros(2, 6, 3, 3)
    weight[:, 0] = 1
    assert used_columns(weight) is None
