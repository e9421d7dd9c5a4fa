"""Columns turn each layer into a matrix product: compared with the layer itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pruners.errors import UnknownNameError, UnsupportedError
from pruners.layers import (
    conv_groups,
    find_layer,
    layer_names,
    output_first_weight,
    to_native,
    to_output_first,
)
from pruners.statistics import unfolding as columns_module
from pruners.statistics.sliding import slides, sliding_products
from pruners.statistics.unfolding import column_length, columns

LAYERS = [
    (nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2, dilation=2), (6, 11, 12)),
    (nn.Conv2d(6, 6, (3, 1), groups=6, padding=(1, 0)), (6, 7, 5)),
    (nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"), (2, 6, 6)),
    (nn.Conv1d(4, 8, 5, padding="same"), (4, 20)),
    (nn.Conv3d(2, 4, 2, padding=1), (2, 4, 4, 4)),
    (nn.ConvTranspose1d(4, 6, 4, stride=3, dilation=2, padding=2), (4, 9)),
    (nn.ConvTranspose2d(6, 8, 3, stride=2, padding=1, output_padding=1, groups=2), (6, 5, 7)),
    (nn.ConvTranspose3d(2, 4, 2, stride=2), (2, 3, 3, 3)),
    (nn.Linear(5, 7), (3, 5)),
]


def output_matrix(module: nn.Module, inputs: Tensor) -> Tensor:
    """Return the layer's own output without bias as ``(O, T)``."""
    output = module(inputs)
    if isinstance(module, nn.Linear):
        return (output - module.bias).reshape(-1, output.shape[-1]).T
    bias = module.bias.reshape(1, -1, *[1] * (output.dim() - 2))
    return (output - bias).transpose(0, 1).flatten(1)


@pytest.mark.parametrize(("module", "shape"), LAYERS, ids=lambda item: str(item)[:40])
@pytest.mark.parametrize("chunk_bytes", [1, 2**26])
def test_weight_times_columns_is_the_layer(
    module: nn.Module, shape: tuple[int, ...], chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns_module, "CHUNK_BYTES", chunk_bytes)
    torch.manual_seed(0)
    inputs = torch.randn(3, *shape, dtype=torch.float64)
    module = module.double().requires_grad_(False)
    weight = output_first_weight(module)
    groups = conv_groups(module)
    matrix = weight.reshape(groups, weight.shape[0] // groups, -1)
    assert matrix.shape[2] == column_length(module)
    product = torch.cat([matrix @ part for part in columns(module, inputs)], dim=2)
    expected = output_matrix(module, inputs)
    torch.testing.assert_close(product.reshape(expected.shape), expected)


@pytest.mark.parametrize(("module", "shape"), LAYERS, ids=lambda item: str(item)[:40])
def test_layout_round_trip(module: nn.Module, shape: tuple[int, ...]) -> None:
    assert torch.equal(to_native(to_output_first(module.weight, module), module), module.weight)


def test_layers_are_found_or_named() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Linear(1, 1))
    assert layer_names(model) == ("0", "2")
    with pytest.raises(UnknownNameError, match="known: 0, 2"):
        find_layer(model, "3")
    with pytest.raises(UnsupportedError, match="layer '1' is of type ReLU;"):
        find_layer(model, "1")
    # Libraries have their own, which was told to be "of type Linear", as those that can be.
    model[1] = type("Linear", (nn.Module,), {"__module__": "library.dense"})()
    with pytest.raises(UnsupportedError, match=r"layer '1' is of type library\.dense\.Linear;"):
        find_layer(model, "1")


SLIDING = [
    (nn.Conv2d(3, 4, 3, padding=1), (3, 6, 5)),
    (nn.Conv2d(2, 3, (2, 3), stride=(1, 2), dilation=(1, 2), padding=(0, 1)), (2, 5, 9)),
    (nn.Conv2d(2, 3, (4, 1), padding=(2, 0), padding_mode="circular"), (2, 6, 4)),
]


@pytest.mark.parametrize(("module", "shape"), SLIDING, ids=lambda item: str(item)[:40])
def test_products_of_sliding_windows_are_those_of_the_columns(
    module: nn.Conv2d, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(3, *shape, dtype=torch.float64)
    module = module.double().requires_grad_(False)
    answers = torch.randn_like(module(inputs))
    (matrix,) = (part[0] for part in columns(module, inputs))
    matrix = torch.cat([matrix, torch.ones_like(matrix[:1])])
    gram, cross = sliding_products(module, inputs, answers)
    torch.testing.assert_close(gram, matrix @ matrix.T)
    torch.testing.assert_close(cross, answers.transpose(0, 1).flatten(1) @ matrix.T)


@pytest.mark.parametrize(("module", "_"), LAYERS, ids=lambda item: str(item)[:40])
def test_strided_dilated_and_grouped_layers_do_not_slide(module: nn.Module, _: object) -> None:
    assert slides(module) == (getattr(module, "padding_mode", "") == "reflect")
