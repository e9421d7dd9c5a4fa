"""The two semantics of a pruned channel, on a network small enough to see through."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from pruners.capture import named_state
from pruners.groups.edits import (
    consumer_masks,
    weights_edit,
)


def member(name: str, dim: int, role: str, index: torch.Tensor) -> SimpleNamespace:
    return SimpleNamespace(
        name=name, dim=dim, role=role, index=index, layer=name.rpartition(".")[0]
    )


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)
    )
    nn.init.uniform_(model[1].bias, 0.5, 1.0)
    nn.init.normal_(model[1].running_mean)
    return model.eval().requires_grad_(False)


@pytest.fixture
def group() -> SimpleNamespace:
    channels = torch.arange(3)
    members = (
        member("0.weight", 0, "producer", channels),
        member("0.bias", 0, "bias", channels),
        member("1.weight", 0, "norm", channels),
        member("4.weight", 1, "consumer", channels.repeat_interleave(4)),
    )
    consumers = tuple(item for item in members if item.role == "consumer")
    return SimpleNamespace(id="0", units=3, members=members, consumers=consumers)


@pytest.mark.parametrize("as_numbers", [False, True])
def test_weights_edit_zeroes_weight_and_bias_rows_only(
    model: nn.Sequential, group: SimpleNamespace, as_numbers: bool
) -> None:
    removed = torch.tensor([1]) if as_numbers else torch.tensor([False, True, False])
    state = named_state(model)
    edit = weights_edit(group, removed, state)
    assert set(edit) == {"0.weight", "0.bias"}
    assert not bool(edit["0.weight"][1].any())
    assert float(edit["0.bias"][1]) == 0
    for row in (0, 2):
        assert torch.equal(edit["0.weight"][row], state["0.weight"][row])
    assert bool(state["0.weight"][1].any())


def test_a_masked_channel_still_sends_the_constant_of_batch_norm(
    model: nn.Sequential, group: SimpleNamespace
) -> None:
    edit = weights_edit(group, torch.tensor([1]), named_state(model))
    inputs = torch.randn(2, 1, 4, 4)
    hidden = functional_call(model[:3], edit, (inputs,))
    norm = model[1]
    leak = norm.bias - norm.weight * norm.running_mean / torch.sqrt(norm.running_var + norm.eps)
    expected = F.relu(leak[1]).expand(2, 2, 2)
    torch.testing.assert_close(hidden[:, 1], expected)


def test_consumer_masks_follow_the_index_through_flatten(
    model: nn.Sequential, group: SimpleNamespace
) -> None:
    masks = consumer_masks(group, torch.tensor([1]), named_state(model))
    expected = torch.ones(2, 12, dtype=torch.bool)
    expected[:, 4:8] = False
    assert set(masks) == {"4.weight"}
    assert torch.equal(masks["4.weight"], expected)


def test_positions_outside_the_group_stay(model: nn.Sequential) -> None:
    index = torch.tensor([-1, 0, -1])
    part = SimpleNamespace(
        id="g", units=1, members=(member("0.weight", 0, "producer", index),), consumers=()
    )
    edit = weights_edit(part, torch.tensor([True]), named_state(model))
    kept = edit["0.weight"].flatten(1).any(1)
    assert kept.tolist() == [True, False, True]
