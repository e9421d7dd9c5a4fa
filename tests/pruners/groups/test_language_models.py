"""Groups of transformers: embeddings, GPT-2's layers, heads, the residual stream."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners.capture import capture, named_state
from pruners.criteria import CRITERIA, scores
from pruners.groups import Structure, difference, edited_outputs, find_structure, remove
from pruners.groups.cost import CostModel
from pruners.groups.removal import removed_graph
from pruners.statistics import collect
from tests.helpers.hugging_face import MODELS, build
from tests.pruners.models import Conv1D

CLOSE = 1e-4
# Texts that the tiny models have positions for; those that turn by position take longer ones.
POSITIONS = 32
TURNED = ("llama", "llama_tied", "llama_mqa", "qwen2", "mistral")


@functools.cache
def traced(name: str) -> tuple[nn.Module, Structure]:
    model, example = build(name)
    return model, find_structure(model, capture(model, example), example)


Kept = Mapping[str, Sequence[int]]


def masked(model: nn.Module, structure: Structure, kept: Kept, inputs: Tensor) -> Tensor:
    return edited_outputs(model, replace(structure, example=inputs), kept)


def without_second(structure: Structure, *, exact: bool) -> dict[str, list[int]]:
    """Keep all units but the second of each group."""
    return {
        group.id: [unit for unit in range(group.units) if unit != 1]
        for group in structure.groups
        if group.prunable and (group.exact or not exact)
    }


@pytest.mark.parametrize("name", MODELS)
def test_transformers_lose_heads_channels_and_width(name: str) -> None:
    """Masked = removed, also for other numbers of tokens than captured."""
    model, structure = traced(name)
    prunable = [group for group in structure.groups if group.prunable]
    assert all(not group.unscored for group in prunable)
    assert {group.units for group in prunable if group.kind == "head"} == {MODELS[name].heads}
    assert (MODELS[name].width in [g.units for g in prunable if not g.exact]) == (
        name != "minilm"  # what it returns is the residual stream
    )
    whole = without_second(structure, exact=True)
    other = MODELS[name].example(samples=2, tokens=13)
    for kept in (whole, without_second(structure, exact=False)):
        smaller = remove(model, structure, kept)
        assert type(smaller) is type(model)
        with torch.no_grad():
            if kept is whole:
                for inputs in (structure.example, other):
                    expected = masked(model, structure, kept, inputs)
                    assert difference(smaller(inputs), expected) < CLOSE
            assert smaller(other).isfinite().all()
        params = sum(item.numel() for item in smaller.parameters())
        assert CostModel(structure).predict(kept).params == params


@pytest.mark.parametrize("name", [name for name, tiny in MODELS.items() if not tiny.takes_images])
def test_graphs_take_texts_of_other_lengths_as_the_model_does(name: str) -> None:
    """Shorter, equal, longer, and beyond the positions, in the captured graph."""
    model, structure = traced(name)
    kept = without_second(structure, exact=True)
    smaller, refused = removed_graph(model, structure, kept), []
    for length in (1, 5, 9, POSITIONS, POSITIONS + 1):
        inputs = MODELS[name].example(samples=2, tokens=length)
        with torch.no_grad():
            try:
                expected = masked(model, structure, kept, inputs)
            except (RuntimeError, IndexError):
                refused.append(length)
                with pytest.raises((RuntimeError, IndexError)):
                    smaller(inputs)
                continue
            assert difference(smaller(inputs), expected) < CLOSE
    assert refused == ([] if name in TURNED else [POSITIONS + 1])


def test_a_narrower_llama_is_that_of_a_narrower_config() -> None:
    """The residual stream, tied embedding included: equal to the library's own narrow model."""
    model, structure = traced("llama_tied")
    group = next(item for item in structure.groups if item.prunable and not item.exact)
    assert {"producer", "consumer"} == {
        member.role for member in group.members if "embed_tokens" in member.name
    }
    smaller = remove(model, structure, {group.id: [*range(4), *range(8, 16)]})
    narrow, example = build("llama_tied", hidden_size=12)
    narrow.load_state_dict(smaller.state_dict())
    with torch.no_grad():
        assert difference(smaller(example), narrow(example)) < 1e-6


class Mlp(nn.Module):
    def __init__(self, wrap: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.up, self.down = wrap(nn.Linear(6, 10)), wrap(nn.Linear(10, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(x))).mean(1)


def built(wrap: Any) -> tuple[nn.Module, Structure]:
    model, example = Mlp(wrap).eval(), torch.randn(2, 4, 6)
    return model, find_structure(model, capture(model, example), example)


def same(linear: nn.Linear) -> nn.Linear:
    return linear


def test_layers_of_gpt2_are_those_of_linear_ones() -> None:
    """A weight (in, out) was no layer, without MACs, and nothing scored it."""
    found = []
    for wrap in (Conv1D, same):
        model, structure = built(wrap)
        assert structure.groups[0].id == "up"
        assert structure.groups[0].prunable
        state = named_state(remove(model, structure, {"up": range(7)}))
        cost = CostModel(structure)
        layers = [(layer.name, layer.params) for layer in structure.layers]
        sizes = sum(item.numel() for item in state.values())
        found.append((cost.layers(), cost.predict({"up": 7}), sizes, layers))
        assert structure.layers[0].out_dim == (wrap is Conv1D)
    assert found[0] == found[1]
    assert found[0][0] == {"up": 4 * 60, "down": 4 * 30}


def test_criteria_score_layers_of_gpt2_as_linear_ones() -> None:
    """Scores are those of the same numbers, output channels first."""
    batches = [
        (torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(3)), torch.arange(5) % 3)
    ]
    entries = [entry for entry in CRITERIA if entry.level and not entry.version]
    needs = frozenset().union(*(entry.needs for entry in entries)) - {"bn_scale"}
    data = []
    for wrap in (Conv1D, same):
        model = Mlp(wrap).eval()
        data.append(collect(model, batches, layers=["up"], needs=needs).layer_data(model, "up"))
    scored = 0
    for entry in entries:
        for level in ("element", "channel"):
            if level in entry.granularities and "bn_scale" not in entry.needs:
                one, two = (scores(entry.name, item, level=level) for item in data)
                torch.testing.assert_close(one, two)
                scored += 1
    assert scored > 20
