"""A model is left as found, whatever happens inside."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from pruners.preserve import checksum, preserved, twin


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    model[1].eval()  # a mixed state, which model.train() would not restore
    model[3].weight.requires_grad_(False)
    model[0].weight.grad = torch.ones(4, 4)
    model[0].register_forward_hook(lambda *_: None)
    return model


def wreck(model: nn.Sequential) -> None:
    model.train()
    model(torch.randn(8, 4)).sum().backward()
    with torch.no_grad():
        model[0].weight.data.mul_(2)
        model[0].bias.data = torch.zeros(4)
        model[1].running_mean.fill_(7)
    model[3].weight = nn.Parameter(torch.zeros(2, 4))
    model[2].register_forward_pre_hook(lambda *_: None)
    model[0]._forward_hooks.clear()
    random.random()
    torch.rand(1)


@pytest.mark.parametrize("raises", [False, True])
def test_everything_is_restored(raises: bool) -> None:
    model = make_model()
    before, identities = checksum(model), [id(p) for p in model.parameters()]
    states = random.getstate(), torch.get_rng_state()
    try:
        with preserved(model):
            wreck(model)
            assert checksum(model) != before
            if raises:
                raise RuntimeError("in the middle")
    except RuntimeError:
        assert raises
    assert checksum(model) == before
    assert [id(p) for p in model.parameters()] == identities
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert [m.training for m in model] == [True, False, True, True]


def test_shared_weights_stay_shared() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    with preserved(model), torch.no_grad():
        model[0].weight.data = torch.zeros(3, 3)
    assert model[1].weight is model[0].weight
    assert bool(model[0].weight.any())


@pytest.mark.parametrize("part", ["value", "mode", "requires_grad", "grad", "hook", "buffer"])
def test_checksum_sees_each_part(part: str) -> None:
    model = make_model()
    before = checksum(model)
    changes = {
        "value": lambda: model[0].weight.data[0, 0].add_(1e-6),
        "mode": lambda: model[1].train(),
        "requires_grad": lambda: model[3].weight.requires_grad_(True),
        "grad": lambda: model[0].weight.grad.add_(1),
        "hook": lambda: model[3].register_forward_hook(lambda *_: None),
        "buffer": lambda: model[1].running_var.mul_(1.1),
    }
    changes[part]()
    assert checksum(model) != before


def test_checksum_takes_any_dtype() -> None:
    model = nn.Linear(2, 2).to(torch.bfloat16)
    model.register_buffer("empty", torch.empty(0))
    assert checksum(model) == checksum(model)


def test_a_twin_has_modules_of_its_own_over_the_same_memory() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval()
    model.append(model[0])
    own = twin(model)
    assert own[0] is own[2]
    assert own[0] is not model[0]
    for (name, mine), (other, theirs) in zip(
        own.state_dict().items(), model.state_dict().items(), strict=True
    ):
        assert name == other
        assert mine.data_ptr() == theirs.data_ptr()
    seen: list[int] = []
    own[0].register_forward_hook(lambda *_: seen.append(1))
    model[0](torch.ones(2, 3))
    assert not seen
