"""Predicted costs are those that are counted after removal."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pruners.capture import capture
from pruners.errors import InputError
from pruners.groups.cost import Cost, CostModel
from pruners.groups.groups import find_structure
from pruners.groups.removal import remove
from pruners.groups.uncaptured import WholeCost
from tests.pruners.groups.test_groups import MODELS, prunable, traced


def reference_cost(model: nn.Module, example: torch.Tensor) -> Cost:
    """Count with torch's own counter, which knows the plain attention kernel only."""
    counter = FlopCounterMode(display=False)
    torch.backends.mha.set_fastpath_enabled(False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model(example)
    torch.backends.mha.set_fastpath_enabled(True)
    params = sum(item.numel() for item in model.parameters())
    return Cost(params=params, macs=counter.get_total_flops() // 2 // len(example))


@pytest.mark.parametrize("name", MODELS)
def test_prediction_is_exact(name: str) -> None:
    model, example, structure = traced(name)
    costs = CostModel(structure)
    assert costs.dense == reference_cost(model, example)
    assert costs.dense == costs.predict({})
    generator = torch.Generator().manual_seed(3)
    kept = {
        group.id: torch.randperm(group.units, generator=generator)[
            : int(torch.randint(1, group.units + 1, (1,), generator=generator))
        ].tolist()
        for group in prunable(structure)
    }
    smaller = remove(model, structure, kept)
    assert costs.predict(kept) == reference_cost(smaller, example)
    assert costs.predict({name: len(units) for name, units in kept.items()}) == costs.predict(kept)


def counted_cost(model: nn.Module, example: torch.Tensor) -> Cost:
    return CostModel(find_structure(model, capture(model, example), example)).dense


def test_counting_a_removed_model_equals_the_prediction() -> None:
    model, example, structure = traced("resnet20")
    kept = {"layer2.1.conv1": range(10), "conv1": range(5)}
    smaller = remove(model, structure, kept)
    counted = counted_cost(smaller, example)
    assert counted == CostModel(structure).predict(kept)


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_small", "densenet_small", "vit_tiny"])
def test_a_whole_group_costs_what_its_units_save_one_by_one(name: str) -> None:
    """A group counted as the layer that names it.

    What a unit saves is linear in the units unless a weight has the group on both sides, so the
    models that are left with one and with two units say what none would leave.
    """
    model, example, structure = traced(name)
    costs = CostModel(structure)
    dense = reference_cost(model, example)
    for group in prunable(structure)[:6]:
        one, two = (
            reference_cost(remove(model, structure, {group.id: range(count)}), example)
            for count in (1, 2)
        )
        whole = costs.whole(group.id)
        assert whole.params == dense.params - (2 * one.params - two.params)
        assert whole.macs == dense.macs - (2 * one.macs - two.macs)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.out = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.lstm(x)[0][:, -1])


def test_a_model_without_graph_costs_what_its_graph_would_say() -> None:
    attention = nn.Sequential(
        nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), nn.Flatten(), nn.Linear(80, 3)
    )
    for model, example in (
        traced("mobilenet_small")[:2],
        (Recurrent().eval(), torch.randn(2, 5, 6)),
        (attention.eval(), torch.randn(2, 5, 16)),
    ):
        found = WholeCost(model, example)
        assert found.dense == found.predict({}) == counted_cost(model, example)
    with pytest.raises(InputError, match="no groups"):
        found.predict({"0": 3})
    assert torch.backends.mkldnn.enabled
    assert torch.backends.mha.get_fastpath_enabled()
    assert WholeCost(Recurrent().eval(), torch.randn(2, 5, 6)).layers()["out"] == 24


def test_macs_of_layers_sum_to_the_whole() -> None:
    _, _, structure = traced("mobilenet_small")
    costs = CostModel(structure)
    assert sum(costs.layers().values()) == costs.dense.macs
    assert costs.layers()["stem.0"] == 16 * 9 * 14 * 14


@pytest.mark.parametrize("kept", [{"conv1": 0}, {"conv1": 17}, {"none": 1}])
def test_bad_requests_are_errors(kept: dict[str, int]) -> None:
    with pytest.raises(InputError):
        CostModel(traced("resnet20")[2]).predict(kept)
