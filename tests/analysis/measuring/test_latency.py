"""Latency: turns, counts, percentiles."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from analysis.measuring.latency import MIN_PASSES, compare_latency
from analysis.records import Latency


class Recorder(nn.Module):
    def __init__(self, log: list[str], name: str) -> None:
        super().__init__()
        self.log, self.name = log, name

    def forward(self, inputs: Tensor) -> Tensor:
        assert torch.is_inference_mode_enabled()
        self.log.append(self.name)
        return inputs


def test_models_take_turns_after_warming_up() -> None:
    log: list[str] = []
    models = {name: Recorder(log, name) for name in "ab"}
    found = compare_latency(models, torch.zeros(3, 2), repeats=6, warmup=2)
    assert log == [*"aabb", *"ab" * 6]
    assert len(found["a"].repeats) == 6
    assert (found["b"].batch, found["b"].device, found["b"].warmup) == (3, "cpu", 2)
    assert found["a"].threads == torch.get_num_threads()
    assert 0 < found["a"].median <= found["a"].p90
    assert "batch 3, cpu, " in found["a"].text
    assert Latency.from_dict(found["a"].to_dict()) == found["a"]


def test_time_is_limited_but_some_passes_are_always_made() -> None:
    log: list[str] = []
    compare_latency({"a": Recorder(log, "a")}, torch.zeros(1), repeats=40, warmup=0, seconds=0.0)
    assert len(log) == MIN_PASSES


def test_the_ninetieth_percentile_is_that_of_the_passes() -> None:
    found = compare_latency({"a": Recorder([], "a")}, torch.zeros(1), repeats=7)["a"]
    assert found.p90 == float(np.percentile(found.repeats, 90))
    assert found.least == min(found.repeats) <= found.median <= found.p90 <= max(found.repeats)
