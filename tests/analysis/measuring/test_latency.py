"""Latency: turns, counts, percentiles, and how sure it is that one is shorter."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analysis.measuring.latency import MIN_PASSES, compare_latency, time_share
from analysis.records import Latency
from tests.helpers.latencies import latency


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


def test_passes_are_compared_one_by_one() -> None:
    """What else the machine does is of both: it widens no interval."""
    busy = [1.0, 9.0, 2.0, 5.0, 1.0, 30.0, 4.0]
    found = time_share(latency([0.8 * item for item in busy]), latency(busy))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.8, 0.8))


def test_few_passes_or_other_numbers_of_them_have_no_interval() -> None:
    assert time_share(latency([1.0] * 5), latency([2.0] * 5)) is None
    assert time_share(latency([1.0] * 6), latency([2.0] * 7)) is None
    zero = dataclasses.replace(latency([2.0] * 6), repeats=(0.0,) * 6)
    assert time_share(latency([1.0] * 6), zero) is None
