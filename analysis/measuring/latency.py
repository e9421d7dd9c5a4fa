"""Measured latency: several models in turn on one batch, median and 90th percentile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from analysis.engine import wait_for
from analysis.measuring.runtime import TORCH, Runtime
from analysis.records import Latency
from analysis.uncertainty import Interval, median_interval
from pruners.batches import Inputs

WARMUP = 5
REPEATS = 40
MIN_PASSES = 5


def compare_latency(
    models: Mapping[str, nn.Module],
    inputs: Inputs,
    *,
    repeats: int = REPEATS,
    warmup: int = WARMUP,
    seconds: float = 5.0,
    runtime: Runtime = TORCH,
) -> dict[str, Latency]:
    """Measure models in turn, pass by pass, so that a busy moment meets all of them.

    Args:
        models: Models in eval mode on the inputs' device.
        inputs: One batch ``(N, ...)``.
        repeats: Measured passes of each model.
        warmup: Passes of each model that do not count.
        seconds: Stop after this time, but not before `MIN_PASSES` passes of each.
        runtime: Runs the models.
    """
    ready = {name: runtime.open(model, inputs) for name, model in models.items()}
    taken: dict[str, list[float]] = {name: [] for name in models}
    with torch.inference_mode():
        for run in ready.values():
            for _ in range(warmup):
                _timed(run, inputs.device)
        start = time.perf_counter()
        for done in range(repeats):
            if done >= MIN_PASSES and time.perf_counter() - start > seconds:
                break
            for name, run in ready.items():
                taken[name].append(_timed(run, inputs.device))
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


def time_share(after: Latency, before: Latency) -> Interval | None:
    """Return which share of another model's time a pass takes: the median's 95 % interval.

    Models are measured in turn, so that a busy moment meets both: passes are compared one by one.

    Args:
        after: Of the model in question.
        before: Of the other one; other numbers of passes, and too few, have no interval.
    """
    if len(after.repeats) != len(before.repeats) or not all(before.repeats):
        return None
    pairs = zip(after.repeats, before.repeats, strict=True)
    return median_interval([mine / its for mine, its in pairs])


def _timed(run: Callable[[], object], device: torch.device) -> float:
    wait_for(device)
    start = time.perf_counter()
    run()
    wait_for(device)
    return time.perf_counter() - start
