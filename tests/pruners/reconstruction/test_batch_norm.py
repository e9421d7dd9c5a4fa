"""Batch norm is estimated anew on copies of its buffers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pruners.errors import InputError
from pruners.preserve import checksum
from pruners.reconstruction.batch_norm import batch_norm_buffers
from tests.pruners.models import image_batches, small_residual


def test_buffers_equal_reset_and_cumulative_average_on_a_copy() -> None:
    model = small_residual()
    edit = {"stem.weight": model.stem.weight * (torch.arange(8) > 3).reshape(8, 1, 1, 1)}
    before = checksum(model)
    found = batch_norm_buffers(model, image_batches(), edit=edit)
    assert checksum(model) == before
    reference = copy.deepcopy(model)
    reference.load_state_dict(edit, strict=False)
    for norm in (reference.norm, reference.norm2):
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for inputs, _ in image_batches():
        reference(inputs)
    state = reference.state_dict()
    assert set(found) == {
        f"{name}.{part}" for name in ("norm", "norm2") for part in ("running_mean", "running_var")
    }
    for name, value in found.items():
        torch.testing.assert_close(value, state[name])


def test_mean_is_that_of_all_samples() -> None:
    model = small_residual()
    inputs = torch.cat([batch[0] for batch in image_batches()])
    found = batch_norm_buffers(model, image_batches())
    torch.testing.assert_close(
        found["norm.running_mean"], model.stem(inputs).mean((0, 2, 3)), rtol=1e-4, atol=1e-6
    )


def test_without_batch_norm_nothing_changes_and_without_data_it_is_refused() -> None:
    assert batch_norm_buffers(nn.Sequential(nn.Linear(2, 2)), []) == {}
    model = small_residual()
    before = checksum(model)
    with pytest.raises(InputError, match="calibration data"):
        batch_norm_buffers(model, [])
    assert checksum(model) == before
