"""A model run with other tensors is left as found, whatever names its tensors have."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.engine.evaluator import Evaluator
from pruners.calls import call_with
from pruners.capture import capture
from pruners.groups.groups import find_structure
from pruners.groups.removal import difference, edited_outputs, remove
from pruners.preserve import checksum
from tests.helpers.topologies import randomize


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 6, 3, padding=1)
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.second(F.relu(self.norm(self.first(x)))))
        return self.fc(x.mean((2, 3)))


def second_name() -> nn.Module:
    """The consumer is registered under two names."""
    model = Net()
    model.again = model.second
    return model


def second_norm() -> nn.Module:
    model = Net()
    model.again = model.norm
    return model


def in_a_list() -> nn.Module:
    model = Net()
    model.layers = nn.ModuleList([model.first, model.norm, model.second])
    return model


def tied() -> nn.Module:
    """Two modules with one weight."""
    model = Net()
    model.fc2 = nn.Linear(6, 5)
    model.fc2.weight = model.fc.weight
    return model


FACTORIES: list[Callable[[], nn.Module]] = [Net, second_name, second_norm, in_a_list, tied]


def built(factory: Callable[[], nn.Module]) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return randomize(factory()), torch.randn(2, 3, 8, 8)


@pytest.mark.parametrize("factory", FACTORIES)
def test_nothing_stays_behind(factory: Callable[[], nn.Module]) -> None:
    """Found by a newcomer: an edit of a module with two names stayed in the dense model."""
    model, inputs = built(factory)
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    for name in names:
        before = checksum(model)
        tensor = dict(model.named_parameters(remove_duplicate=False))[name]
        kept = {path: id(item) for path, item in model.named_parameters(remove_duplicate=False)}
        found = call_with(model, {name: torch.zeros_like(tensor)}, inputs)
        after = {path: id(item) for path, item in model.named_parameters(remove_duplicate=False)}
        assert checksum(model) == before, name
        assert kept == after, name
        saved = tensor.clone()
        tensor.zero_()
        expected = model(inputs)
        tensor.copy_(saved)
        assert torch.equal(found, expected), name


@pytest.mark.parametrize("factory", FACTORIES)
def test_removal_and_evaluation_leave_the_model_as_found(factory: Callable[[], nn.Module]) -> None:
    model, example = built(factory)
    before = checksum(model)
    graph = capture(model, example)
    structure = find_structure(model, graph, example)
    evaluator = Evaluator(model, graph, example=example)
    whole = Evaluator(model, None, fallback_reason="for comparison")
    for group in structure.groups:
        if group.prunable:
            kept = {group.id: range(0, group.units, 2)}
            smaller = remove(model, structure, kept)
            masked = edited_outputs(model, structure, kept)
            assert difference(smaller(example), masked) < 1e-5
    edit = {"second.weight": torch.zeros_like(model.get_parameter("second.weight"))}
    found = evaluator.evaluate(evaluator.dense(example), edit)
    assert difference(found, whole.evaluate(whole.dense(example), edit)) < 1e-5
    assert checksum(model) == before
