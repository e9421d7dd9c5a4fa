"""Casts, checks and unread values in a forward pass: found, computed, removed as anything else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from analysis.engine.evaluator import Evaluator
from analysis.engine.precisions.reduced import ReducedEvaluator
from analysis.tasks import CLASSIFICATION
from pruners.capture import Graph, capture
from pruners.errors import CaptureError
from pruners.groups.groups import Structure, find_structure
from pruners.groups.removal import difference, edited_outputs, remove
from tests.helpers.casts import CASTS, OTHER_CASTS
from tests.helpers.topologies import build_topology

MODELS = (*CASTS, *OTHER_CASTS)
# What a bfloat16 has of a float32's digits.
BF16 = 2e-2


def opened(name: str) -> tuple[torch.nn.Module, torch.Tensor, Graph, Structure]:
    model, example = build_topology(name)
    graph = capture(model, example)
    return model, example, graph, find_structure(model, graph, example)


@pytest.mark.parametrize("name", MODELS)
def test_an_edit_gives_what_the_model_itself_gives(name: str) -> None:
    """A cast anywhere in a forward pass was a KeyError of 'val'."""
    model, example, graph, structure = opened(name)
    evaluator = Evaluator(model, graph, example=example)
    assert evaluator.is_incremental == (name != "branches")
    inputs = torch.randn(5, *example.shape[1:], generator=torch.Generator().manual_seed(3))
    tolerance = BF16 if name in OTHER_CASTS else 1e-5
    batch = evaluator.dense(inputs)
    assert difference(batch.outputs, model(inputs)) < tolerance
    halves = {
        item.name: item.tensor * (torch.rand(item.tensor.shape) > 0.5)
        for item in (_named(model, "first"), _named(model, "second"))
    }
    assert (
        difference(evaluator.evaluate(batch, halves), evaluator.forward(inputs, halves)) < tolerance
    )
    assert structure.layers


class _Weight:
    def __init__(self, name: str, tensor: torch.Tensor) -> None:
        self.name, self.tensor = name, tensor


def _named(model: torch.nn.Module, layer: str) -> _Weight:
    found = [(n, t) for n, t in model.named_parameters() if n.startswith(f"{layer}.weight")]
    return _Weight(*found[0])


@pytest.mark.parametrize("name", [name for name in MODELS if name != "branches"])
def test_bf16_runs_and_answers_alike(name: str) -> None:
    """`--precision bf16` of the same models."""
    model, example, graph, _ = opened(name)
    exact = Evaluator(model, graph, example=example)
    reduced = ReducedEvaluator(exact, graph, example, gaps=CLASSIFICATION.gaps)
    inputs = torch.randn(40, *example.shape[1:], generator=torch.Generator().manual_seed(3))
    assert torch.equal(reduced.dense(inputs).outputs.argmax(1), model(inputs).argmax(1))


@pytest.mark.parametrize("name", OTHER_CASTS)
def test_removed_equals_masked(name: str) -> None:
    model, example, _, structure = opened(name)
    kept = {
        group.id: range(group.units // 2)
        for group in structure.groups
        if group.prunable and group.exact
    }
    assert kept
    smaller = remove(model, structure, kept)
    masked = edited_outputs(model, structure, kept)
    assert difference(smaller(example), masked) < (1e-5 if name == "branches" else BF16)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("by_value", "operator topk is not supported"),
        ("branches", "cond is not supported"),
    ],
)
def test_what_cannot_be_followed_is_named(name: str, reason: str) -> None:
    structure = opened(name)[3]
    assert structure.group("first").reason == reason
    assert structure.group("second").prunable


@pytest.mark.parametrize("name", ["to_float", "through_double", "type_as", "autocast"])
def test_a_cast_leaves_channels_exact(name: str) -> None:
    structure = opened(name)[3]
    assert {item.id for item in structure.groups if item.prunable and item.exact} == {
        "first",
        "second",
    }


def test_checks_are_not_part_of_the_graph() -> None:
    graph = opened("to_float")[2]
    assert not any("assert" in str(node.target) for node in graph.module.graph.nodes)


class ByMask(nn.Module):
    """Channels taken by a mask: how many they are, the data says."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.register_buffer("mask", torch.arange(8) % 2 == 0)
        self.fc = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.first(x)[:, self.mask].mean((2, 3)))


def test_sizes_that_depend_on_data_are_named() -> None:
    torch.manual_seed(0)
    model, example = ByMask().eval().requires_grad_(False), torch.randn(2, 3, 8, 8)
    graph = capture(model, example)
    structure = find_structure(model, graph, example, strict=True)
    assert "yields as much as the data says" in structure.group("first").reason
    evaluator = Evaluator(model, graph, example=example)
    inputs = torch.randn(5, 3, 8, 8)
    assert difference(evaluator.dense(inputs).outputs, model(inputs)) < 1e-5


class Shuffled(nn.Module):
    """Positions that are computed from the inputs, or drawn, are no constants of the code."""

    def __init__(self, *, draws: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.fc = nn.Linear(8, 5)
        self.draws = draws

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        order = torch.randperm(8) if self.draws else x[0, 0, 0].argsort()
        return self.fc(self.first(x)[:, order].mean((2, 3)))


def test_computed_positions_are_not_followed() -> None:
    model, example = Shuffled(draws=False).eval().requires_grad_(False), torch.randn(2, 3, 8, 8)
    structure = find_structure(model, capture(model, example), example)
    assert "takes computed positions" in structure.group("first").reason


def test_a_model_that_draws_is_not_captured() -> None:
    """No graph gives what it gave."""
    torch.manual_seed(0)
    model, example = Shuffled(draws=True).eval().requires_grad_(False), torch.randn(2, 3, 8, 8)
    with pytest.raises(CaptureError, match="own outputs"):
        capture(model, example)
