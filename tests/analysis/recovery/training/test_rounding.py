"""Training that rounds as 8 bits do; the reference is torch's own fake quantisation."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from analysis.recovery.training.loop import iter_training
from analysis.recovery.training.passes import RoundedPass
from analysis.recovery.training.recipe import TrainingRecipe
from tests.helpers.training_steps import NORMED, opened, pruned


def fake_weight(weight: Tensor, axis: int) -> Tensor:
    scale = weight.detach().abs().amax([dim for dim in range(weight.dim()) if dim != axis]) / 127
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, axis, -127, 127)


def fake_input(values: Tensor) -> Tensor:
    found = values.detach()
    low, high = min(float(found.min()), 0.0), max(float(found.max()), 0.0)
    scale = (high - low) / 255
    return torch.fake_quantize_per_tensor_affine(values, scale, round(-low / scale), 0, 255)


def test_rounded_layers_are_those_of_torch_and_gradients_pass() -> None:
    """Per channel, symmetric; zeros stay; a transposed layer's outputs too."""
    torch.manual_seed(0)
    first, norm = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
    second, last = nn.ConvTranspose2d(4, 3, 2), nn.Linear(3, 5)
    model = nn.Sequential(first, norm, second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)
    with torch.no_grad():
        first.weight[1, 0] = 0.0
    inputs = torch.randn(6, 2, 8, 8)
    before = {name: item.clone() for name, item in model.named_parameters()}
    found = RoundedPass(model)(inputs)
    found.square().sum().backward()
    gradients = {name: item.grad for name, item in model.named_parameters()}
    assert all(torch.equal(item, before[name]) for name, item in model.named_parameters())
    model.zero_grad()
    norm.reset_running_stats()
    layers = ((first, 0), (second, 1), (last, 0))
    weights = [fake_weight(layer.weight, axis) for layer, axis in layers]
    assert bool((weights[0][1, 0] == 0).all())
    values = norm(nn.functional.conv2d(fake_input(inputs), weights[0], first.bias))
    values = nn.functional.conv_transpose2d(fake_input(values), weights[1], second.bias)
    values = nn.functional.linear(fake_input(values.mean((2, 3))), weights[2], last.bias)
    values.square().sum().backward()
    torch.testing.assert_close(found, values, rtol=1e-5, atol=1e-5)
    for name, item in model.named_parameters():
        torch.testing.assert_close(gradients[name], item.grad, rtol=1e-4, atol=1e-4)


def test_the_last_steps_round_and_what_is_pruned_stays_zero(tmp_path: Path) -> None:
    prepared = opened(tmp_path, NORMED)
    plan = pruned(prepared, 0.5)
    learned = []
    for share in (0.0, 0.25, 1.0):
        recipe = TrainingRecipe(steps=4, batch_size=16, lr=0.01, int8_share=share, selection=0.0)
        (*_, last) = iter_training(prepared, plan, recipe, seed=0)
        assert last.recovery is not None
        learned.append(last.recovery.edit.tensors["3.weight"])
        assert int((learned[-1] == 0).sum()) == learned[-1].numel() // 2
    plain, late, all_rounded = learned
    # One step of four, at the end of the schedule, differs less than all four.
    assert 0 < float((late - plain).norm()) < float((all_rounded - plain).norm())
