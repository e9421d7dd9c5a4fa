"""Every criterion on every sample model: finite scores or a refusal that names the layer."""

from __future__ import annotations

import itertools

import pytest
import torch

import sample_models
from pruners import criteria
from pruners.criteria.registry import Level
from pruners.errors import UnsupportedError
from pruners.layers import layer_names
from pruners.preserve import checksum
from pruners.statistics.calibration import NEEDS, collect
from sample_models.architectures import ARCHITECTURES

LEVELS: tuple[Level, ...] = ("channel", "element")
# Why a criterion may have nothing for a layer of a sample.
EXPECTED_REASONS = ("no batch norm", "no ReLU", "does not apply", "does not score")


@pytest.mark.parametrize("sample", sample_models.names(data="fashion-mnist"))
def test_all_criteria_score_all_layers_from_one_pass(sample: str) -> None:
    torch.manual_seed(0)
    model = ARCHITECTURES[sample]().eval()
    before = checksum(model)
    layers = layer_names(model)
    generator = torch.Generator().manual_seed(1)
    batches = [
        (torch.randn(4, 1, 28, 28, generator=generator), torch.randint(0, 10, (4,)))
        for _ in range(2)
    ]
    statistics = collect(model, batches, layers=layers, needs=frozenset(NEEDS))
    names = [entry.name for entry in criteria.CRITERIA if entry.level]
    refusals: list[tuple[str, str]] = []
    scored: dict[str, int] = dict.fromkeys(names, 0)
    for name, layer in itertools.product(names, layers):
        data = statistics.layer_data(model, layer)
        levels = [level for level in LEVELS if level in criteria.CRITERIA.get(name).granularities]
        assert levels
        try:
            found = {level: criteria.scores(name, data, level=level) for level in levels}
            assert all(len(item) == len(data.weight) for item in found.values())
            scored[name] += 1
        except UnsupportedError as error:
            refusals.append((layer, str(error)))
    assert checksum(model) == before
    for layer, message in refusals:
        assert message.startswith(f"layer {layer}: ")
        assert any(reason in message for reason in EXPECTED_REASONS), message
    everywhere = {name for name, count in scored.items() if count == len(layers)}
    assert everywhere >= set(names) - {"bn_scale", "apoz"}
