"""Measured latency: several models in turn on one batch, median and 90th percentile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from analysis.engine import wait_for
from analysis.records import Count, PositiveCount, Record, Seconds
from analysis.sentences import plural

WARMUP = 5
REPEATS = 40
MIN_PASSES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Record):
    """How long one forward pass takes.

    Attributes:
        median: Median seconds per batch.
        p90: 90th percentile, seconds per batch.
        repeats: All measured passes, seconds, in order.
        batch: Samples per pass.
        device: Where it ran, with the processor's thread count told apart in ``threads``.
        threads: Threads of the CPU.
        warmup: Passes before the first measured one.
    """

    median: Seconds
    p90: Seconds
    repeats: tuple[Seconds, ...]
    batch: PositiveCount
    device: str
    threads: PositiveCount
    warmup: Count

    @property
    def text(self) -> str:
        """How it was measured, for a caption."""
        where = f"{self.device}, {plural(self.threads, 'thread')}"
        return (
            f"batch {self.batch}, {where}, {len(self.repeats)} passes after {self.warmup} to warm "
            "up"
        )


def compare_latency(
    models: Mapping[str, nn.Module],
    inputs: Tensor,
    *,
    repeats: int = REPEATS,
    warmup: int = WARMUP,
    seconds: float = 5.0,
) -> dict[str, Latency]:
    """Measure models in turn, pass by pass, so that a busy moment meets all of them.

    Args:
        models: Models in eval mode on the inputs' device.
        inputs: One batch ``(N, ...)``.
        repeats: Measured passes of each model.
        warmup: Passes of each model that do not count.
        seconds: Stop after this time, but not before `MIN_PASSES` passes of each.
    """
    taken: dict[str, list[float]] = {name: [] for name in models}
    with torch.inference_mode():
        for model in models.values():
            for _ in range(warmup):
                _timed(model, inputs)
        start = time.perf_counter()
        for done in range(repeats):
            if done >= MIN_PASSES and time.perf_counter() - start > seconds:
                break
            for name, model in models.items():
                taken[name].append(_timed(model, inputs))
    return {
        name: Latency(
            median=statistics.median(values),
            p90=float(np.percentile(values, 90)),
            repeats=tuple(values),
            batch=len(inputs),
            device=str(inputs.device),
            threads=torch.get_num_threads(),
            warmup=warmup,
        )
        for name, values in taken.items()
    }


def _timed(model: nn.Module, inputs: Tensor) -> float:
    wait_for(inputs.device)
    start = time.perf_counter()
    model(inputs)
    wait_for(inputs.device)
    return time.perf_counter() - start
