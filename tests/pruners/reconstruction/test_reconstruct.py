"""Layer-wise repairs against explicit least squares and naive rewrites of the published steps."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn

from pruners.errors import InputError, UnsupportedError
from pruners.layers import conv_groups, output_first_weight, to_native
from pruners.preserve import checksum
from pruners.reconstruction.lsq import least_squares
from pruners.reconstruction.moments import Moments, capture_moments, layer_calls
from pruners.reconstruction.obs import obs_update
from pruners.reconstruction.scaling import unit_scales
from pruners.selection.masks import keep_mask
from pruners.statistics.unfolding import columns
from tests.pruners.models import image_batches, small_residual

LAYERS = [
    (nn.Linear(6, 5), (6,)),
    (nn.Linear(6, 5, bias=False), (6,)),
    (nn.Conv2d(4, 6, 3, padding=1), (4, 6, 6)),
    (nn.Conv2d(4, 6, 3, padding=1, groups=2, stride=2), (4, 7, 7)),
    (nn.Conv2d(4, 4, 3, groups=4), (4, 6, 6)),
    (nn.ConvTranspose2d(4, 6, 3, stride=2), (4, 4, 4)),
    (nn.Conv1d(3, 4, 3), (3, 12)),
]
IDS = [str(item[0])[:45] for item in LAYERS]


def case(
    module: nn.Module, shape: tuple[int, ...], *, mask_kind: str
) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a double layer, its inputs and an output-first mask."""
    torch.manual_seed(0)
    layer = module.double().requires_grad_(False)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    weight = output_first_weight(layer)
    mask = torch.ones_like(weight, dtype=torch.bool)
    if mask_kind == "columns" and mask.shape[1] > 1:
        mask[:, 0] = False
    else:
        mask = keep_mask(weight.abs(), weight.numel() // 2)
    return layer, torch.randn(32, *shape, dtype=torch.float64), mask


def moments_of(layer: nn.Module, inputs: Tensor) -> Moments:
    model = nn.Sequential(layer)
    return capture_moments(model, [(inputs, None)], layers=["0"])["0"]


def explicit(layer: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return design matrices ``(G, T, D)`` and dense outputs ``(G, T, O)``."""
    design = torch.cat(list(columns(layer, inputs)), dim=2).transpose(1, 2)
    output = layer(inputs)
    dim = -1 if isinstance(layer, nn.Linear) else 1
    rows = output.movedim(dim, 0).flatten(1)
    return design, rows.reshape(conv_groups(layer), -1, rows.shape[1]).transpose(1, 2)


def reference_least_squares(
    design: Tensor, target: Tensor, keep: Tensor, *, with_bias: bool
) -> tuple[Tensor, Tensor]:
    """Fit each output on its own by torch.linalg.lstsq on the explicit data."""
    groups, tokens, width = design.shape
    weight = torch.zeros(groups, target.shape[2], width, dtype=torch.float64)
    bias = torch.zeros(groups, target.shape[2], dtype=torch.float64)
    for g in range(groups):
        for o in range(target.shape[2]):
            kept = keep[g, o].nonzero()[:, 0]
            matrix = design[g][:, kept]
            if with_bias:
                matrix = torch.cat([matrix, torch.ones(tokens, 1, dtype=torch.float64)], 1)
            solution = torch.linalg.lstsq(matrix, target[g, :, o : o + 1]).solution[:, 0]
            weight[g, o, kept] = solution[: len(kept)]
            if with_bias:
                bias[g, o] = solution[-1]
    return weight, bias


@pytest.mark.parametrize(("module", "shape"), LAYERS, ids=IDS)
@pytest.mark.parametrize("mask_kind", ["columns", "elements"])
def test_least_squares_equals_lstsq_on_the_explicit_data(
    module: nn.Module, shape: tuple[int, ...], mask_kind: str
) -> None:
    layer, inputs, mask = case(module, shape, mask_kind=mask_kind)
    moments = moments_of(layer, inputs)
    weight = output_first_weight(layer)
    found, bias = least_squares(moments, weight, layer.bias, mask=mask, ridge=0.0)
    design, target = explicit(layer, inputs)
    keep = mask.reshape(len(design), -1, design.shape[2])
    expected, expected_bias = reference_least_squares(
        design, target, keep, with_bias=layer.bias is not None
    )
    torch.testing.assert_close(found, expected.reshape(weight.shape), rtol=1e-4, atol=1e-4)
    assert bool((found[~mask] == 0).all())
    if layer.bias is None:
        assert bias is None
    else:
        torch.testing.assert_close(bias, expected_bias.reshape(-1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ridge", [1e-6, 1e-3, 0.1])
def test_ridge_equals_scipy_on_the_extended_data(ridge: float) -> None:
    layer, inputs, mask = case(nn.Linear(6, 5, bias=False), (6,), mask_kind="columns")
    weight = output_first_weight(layer)
    found, _ = least_squares(moments_of(layer, inputs), weight, None, mask=mask, ridge=ridge)
    design, target = (item[0].numpy() for item in explicit(layer, inputs))
    kept = design[:, 1:]
    lift = np.sqrt(ridge * np.mean((kept**2).sum(0)))
    extended = np.vstack([kept, lift * np.eye(5)])
    wanted = np.vstack([target, lift * weight[:, 1:].numpy().T])
    expected = scipy.linalg.lstsq(extended, wanted)[0].T
    np.testing.assert_allclose(found[:, 1:].numpy(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("module", "shape"), LAYERS, ids=IDS)
@pytest.mark.parametrize("mask_kind", ["columns", "elements"])
def test_each_repair_lowers_the_output_error(
    module: nn.Module, shape: tuple[int, ...], mask_kind: str
) -> None:
    layer, inputs, mask = case(module, shape, mask_kind=mask_kind)
    moments = moments_of(layer, inputs)
    weight = output_first_weight(layer)
    masked = moments.error(weight * mask, layer.bias)
    output = nn.Sequential(layer)(inputs)
    edited = to_native(weight * mask, layer)
    direct = torch.func.functional_call(layer, {"weight": edited}, (inputs,))
    assert masked == pytest.approx(float((direct - output).square().mean()), rel=1e-4)
    fitted, bias = least_squares(moments, weight, layer.bias, mask=mask)
    assert moments.error(fitted, bias) < masked
    updated = obs_update(weight, moments.gram[:, :-1, :-1], mask=mask)
    assert bool((updated[~mask] == 0).all())
    assert moments.error(updated, layer.bias) < masked


def test_dependent_inputs_and_few_samples_are_no_trouble() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(8, 3).double().requires_grad_(False)
    inputs = torch.randn(4, 8, dtype=torch.float64)
    inputs[:, 5] = 0
    inputs[:, 6] = inputs[:, 7]
    moments = moments_of(layer, inputs)
    mask = torch.ones(3, 8, dtype=torch.bool)
    mask[:, :2] = False
    for ridge in (0.0, 1e-3):
        weight, bias = least_squares(moments, layer.weight, layer.bias, mask=mask, ridge=ridge)
        assert bool(torch.isfinite(weight).all())
        assert moments.error(weight, bias) <= moments.error(layer.weight * mask, layer.bias)
        # What the data says nothing about stays.
        torch.testing.assert_close(weight[:, 5], layer.weight[:, 5])


def reference_obs_update(weight: Tensor, gram: Tensor, mask: Tensor) -> Tensor:
    """The published loop for one linear layer whose mask is given, one weight at a time."""
    W, H = weight.clone(), gram.clone()
    dead = torch.diag(H) == 0
    H[dead, dead] = 1
    H = H + 0.01 * torch.mean(torch.diag(H)) * torch.eye(len(H), dtype=H.dtype)
    U = torch.linalg.cholesky(torch.linalg.inv(H)).T
    for column in range(W.shape[1]):
        for row in range(len(W)):
            if not mask[row, column]:
                error = W[row, column] / U[column, column]
                W[row, column:] -= error * U[column, column:]
    return W * mask


@pytest.mark.parametrize("width", [12, 150])
def test_obs_update_equals_the_published_loop(width: int) -> None:
    """Also where there are more columns than one block of updates has."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, width, generator=generator, dtype=torch.float64)
    inputs = torch.randn(width, 2 * width, generator=generator, dtype=torch.float64)
    inputs[3] = 0
    mask = torch.rand(weight.shape, generator=generator) < 0.6
    gram = inputs @ inputs.T
    found = obs_update(weight, gram[None], mask=mask)
    torch.testing.assert_close(found, reference_obs_update(weight, gram, mask))


def test_obs_update_takes_grouped_convolutions() -> None:
    layer, inputs, mask = case(nn.Conv2d(4, 6, 3, groups=2), (4, 6, 6), mask_kind="elements")
    moments = moments_of(layer, inputs)
    weight = output_first_weight(layer)
    gram = moments.gram[:, :-1, :-1]
    found = obs_update(weight, gram, mask=mask)
    for group in range(2):
        rows = slice(3 * group, 3 * group + 3)
        expected = reference_obs_update(weight[rows].flatten(1), gram[group], mask[rows].flatten(1))
        torch.testing.assert_close(found[rows].flatten(1), expected)
    assert moments.error(found, layer.bias) < moments.error(weight * mask, layer.bias)


def test_obs_update_of_one_weight_is_the_exact_minimum() -> None:
    """With a single removal in the first column the sweep is the closed-form OBS update."""
    torch.manual_seed(0)
    weight = torch.randn(1, 6, dtype=torch.float64)
    inputs = torch.randn(6, 40, dtype=torch.float64)
    mask = torch.ones(1, 6, dtype=torch.bool)
    mask[0, 0] = False
    gram = inputs @ inputs.T
    found = obs_update(weight, gram[None], mask=mask)
    damped = gram + 0.01 * gram.diagonal().mean() * torch.eye(6, dtype=torch.float64)
    inverse = torch.linalg.inv(damped)
    expected = weight - weight[0, 0] / inverse[0, 0] * inverse[0]
    torch.testing.assert_close(found, expected)


def test_unit_scales_equal_lstsq_on_what_units_contribute() -> None:
    layer, inputs, _ = case(nn.Conv2d(4, 6, 3, padding=1), (4, 6, 6), mask_kind="columns")
    weight = output_first_weight(layer)
    unit_GD = torch.tensor([0, 1, 2, -1]).repeat_interleave(9)[None]
    kept = torch.tensor([True, False, True])
    found = unit_scales(
        [(moments_of(layer, inputs), weight, unit_GD, layer.bias)], kept=kept, ridge=0.0
    )
    parts = []
    for channel in range(4):
        alone = torch.zeros_like(inputs)
        alone[:, channel] = inputs[:, channel]
        parts.append((layer(alone) - layer.bias.reshape(1, -1, 1, 1)).flatten())
    target = sum(parts) - parts[3]
    design = torch.stack([parts[0], parts[2]], 1)
    expected = torch.linalg.lstsq(design, target[:, None]).solution[:, 0]
    assert float(found[1]) == 0
    torch.testing.assert_close(found[[0, 2]], expected, rtol=1e-4, atol=1e-4)


def test_moments_read_the_edited_model_and_leave_it_as_found() -> None:
    model = small_residual()
    before = checksum(model)
    edit = {"conv.weight": torch.zeros_like(model.conv.weight)}
    plain = capture_moments(model, image_batches(), layers=["depthwise", "head"])
    edited = capture_moments(model, image_batches(), layers=["depthwise", "head"], edit=edit)
    assert checksum(model) == before
    for name in ("depthwise", "head"):
        assert torch.equal(plain[name].energy, edited[name].energy)
        assert not torch.equal(plain[name].gram, edited[name].gram)
    weight = output_first_weight(model.head)
    assert plain["head"].error(weight, model.head.bias) == pytest.approx(0, abs=1e-9)
    halves = [capture_moments(model, [batch], layers=["head"])["head"] for batch in image_batches()]
    merged = halves[0] + halves[1] + halves[2]
    torch.testing.assert_close(merged.gram, plain["head"].gram)
    assert merged.tokens == plain["head"].tokens


def test_layer_calls_is_that_of_the_calls() -> None:
    model = small_residual()
    names = ["head", "depthwise", "stem", "conv"]
    inputs = image_batches()[0][0]
    assert list(layer_calls(model, inputs, layers=names)) == ["stem", "conv", "depthwise", "head"]


def test_attention_and_empty_data_are_refused() -> None:
    model = nn.Sequential(nn.MultiheadAttention(4, 2))
    with pytest.raises(UnsupportedError, match="layer 0"):
        capture_moments(model, [], layers=["0"])
    with pytest.raises(InputError, match="stem"):
        capture_moments(small_residual(), [], layers=["stem"])
