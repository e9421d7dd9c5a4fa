"""The engine's speed and answers beside the plain eager loop, in each precision."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from analysis.edits import PreparedSubject, prepare
from analysis.engine.stopwatch import wait_for
from analysis.records import PointKey, SubjectSpec, Sums, SweepSpec
from analysis.subjects import load_subject
from analysis.sweeps import PlannedSweep, iter_sweep, plan_sweep
from benchmarks.gpu_check.report import Report
from benchmarks.images import random_images
from pruners.capture import named_state
from pruners.float32 import Float32, float32

BATCHES = (250, 1000, 2000, 8000)
FAST = ("tf32", "bf16", "fp16")
MODES: tuple[Float32, ...] = ("ieee", "tf32")
# What a GPU is for: times the plain loop's speed at its best batch, and at a batch of 250.
STRICT_AIM, FAST_AIM, SMALL_BATCH_AIM = 2.2, 4.0, 10.0
# Ties of rounding.
FLIPS_AIM = 1e-5


@dataclass(frozen=True)
class Case:
    """A subject that is timed."""

    name: str
    model: str
    samples: int
    batch: int
    is_small: bool = True
    rounds: int = 2


CASES = (
    Case("resnet20", "sample:resnet20", 8000, 8000),
    Case("mobilenet_small", "sample:mobilenet_small", 8000, 8000),
    Case("resnet50", "torchvision:resnet50", 240, 240, is_small=False, rounds=1),
)


def opened(case: Case, folder: Path, device: str) -> tuple[PreparedSubject, float]:
    """Return a subject with the seconds that opening it took."""
    data = (
        "sample:fashion-mnist"
        if case.model.startswith("sample:")
        else random_images(folder, samples=case.samples)
    )
    spec = SubjectSpec(
        model=case.model,
        data=data,
        samples=case.samples,
        device=device,
        calibration_samples=512 if case.is_small else 8,
    )
    start = time.perf_counter()
    prepared = prepare(load_subject(spec))
    wait_for(prepared.subject.example.device)
    return prepared, time.perf_counter() - start


class PlainLoop:
    """The whole eager model, once an edit and batch."""

    def __init__(self, prepared: PreparedSubject, planned: PlannedSweep) -> None:
        split = prepared.subject.evaluation
        assert split is not None
        self._model, self._state = prepared.model, named_state(prepared.model)
        self.inputs, labels = split.part(0, len(split))
        assert labels is not None
        self._labels = labels
        self._edits = {
            key: item.edit(prepared).tensors for item in planned.grid.items for key in item.keys[:1]
        }

    @torch.inference_mode()
    def run(self, batch: int) -> dict[PointKey, int]:
        """Return the right answers of each edit."""
        found = {}
        for key, edit in self._edits.items():
            dense = {name: self._state[name].clone() for name in edit}
            for name, tensor in edit.items():
                self._state[name].copy_(tensor)
            right = torch.zeros((), dtype=torch.int64, device=self.inputs.device)
            for first in range(0, len(self.inputs), batch):
                answers = self._model(self.inputs[first : first + batch]).argmax(1)
                right += (answers == self._labels[first : first + batch]).sum()
            found[key] = right
            for name, tensor in dense.items():
                self._state[name].copy_(tensor)
        counts = torch.stack(list(found.values())).tolist()
        return dict(zip(found, counts, strict=True))


def timed(device: torch.device, work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of some work, and what it returned."""
    wait_for(device)
    start = time.perf_counter()
    found = work()
    wait_for(device)
    return time.perf_counter() - start, found


def last_sums(planned: PlannedSweep) -> dict[PointKey, Sums]:
    """Run a sweep; return its sums."""
    *_, update = iter_sweep(planned)
    if update.failed:
        raise RuntimeError(
            f"{len(update.failed)} points failed: {next(iter(update.failed.values()))}"
        )
    return update.sums


def flips(sums: Mapping[PointKey, Sums], counts: Mapping[PointKey, int]) -> tuple[int, int]:
    """Return by how many answers two tables differ at least, and the number of answers."""
    other = sum(abs(sums[key].count("correct") - count) for key, count in counts.items())
    return other, sum(sums[key].samples for key in counts)


@dataclass
class Times:
    """Seconds of each turn, and what was counted."""

    plain: dict[tuple[Float32, int], list[float]] = field(default_factory=dict)
    engine: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[PointKey, int] = field(default_factory=dict)
    sums: dict[str, dict[PointKey, Sums]] = field(default_factory=dict)

    def best(self, mode: Float32) -> tuple[float, int]:
        """Return the seconds of the plain loop at its best batch, and that batch."""
        return min(
            (statistics.median(values), size)
            for (of, size), values in self.plain.items()
            if of == mode
        )

    def at(self, mode: Float32, size: int) -> float:
        """Return the seconds of the plain loop at a batch."""
        return statistics.median(self.plain[mode, size])


def measured(case: Case, prepared: PreparedSubject, report: Report) -> Times:
    """Time the engine in each precision and the plain loop, in turns."""
    device = prepared.subject.example.device
    spec = SweepSpec(subject=prepared.subject.spec, criteria=("l1",), ratios=(0.3, 0.5, 0.7))
    planned = {
        name: plan_sweep(prepared, dataclasses.replace(spec, precision=name))
        for name in ("float32", *FAST)
    }
    loop = PlainLoop(prepared, planned["float32"])
    times = Times()
    for turn in range(1 + case.rounds):
        for mode, size in itertools.product(MODES, sizes_of(case)):
            with float32(mode):
                seconds, found = timed(device, functools.partial(loop.run, size))
            if turn:
                times.plain.setdefault((mode, size), []).append(seconds)
            if mode == "ieee":
                times.counts = found
        for name, sweep in planned.items():
            with report.guarded(f"{case.name} {name}"):
                seconds, times.sums[name] = timed(device, functools.partial(last_sums, sweep))
                if turn:
                    times.engine.setdefault(name, []).append(seconds)
    return times


def sizes_of(case: Case) -> list[int]:
    """Return the batches at which the plain loop is timed."""
    return sorted({min(size, case.batch) for size in (*BATCHES, case.batch)})


def compare(case: Case, prepared: PreparedSubject, report: Report) -> None:
    """Report the engine's speed and answers in each precision."""
    times = measured(case, prepared, report)
    small = sizes_of(case)[0]
    fastest = 0.0
    for name, values in times.engine.items():
        is_strict = name == "float32"
        mode: Float32 = "ieee" if is_strict else "tf32"
        seconds = statistics.median(values)
        plain, size = times.best(mode)
        gain, gain_small = plain / seconds, times.at(mode, small) / seconds
        fastest = fastest if is_strict else max(fastest, gain)
        passed = not is_strict or gain >= STRICT_AIM
        aim = f">= {STRICT_AIM}x best" if is_strict else ""
        if case.is_small:
            passed = passed and gain_small >= SMALL_BATCH_AIM
            aim += f" >= {SMALL_BATCH_AIM:g}x at 250"
        text = f"{seconds:.3f} s; plain {plain:.3f} at {size}: {gain:.2f}x; "
        text += f"{times.at(mode, small):.3f} at {small}: {gain_small:.1f}x"
        report.add(f"{case.name} {name}", text, passed=passed, aim=aim.strip())
        other, answers = flips(times.sums[name], times.counts)
        allowed = max(1.0, FLIPS_AIM * answers)
        report.add(
            f"{case.name} {name} answers",
            f"{other} of {answers:,} differ from the plain loop in full precision",
            passed=other <= allowed,
            aim=f"<= {allowed:.0f}",
        )
    report.add(
        f"{case.name} fastest reduced precision",
        f"{fastest:.2f}x the plain TF32 loop at its best batch",
        passed=fastest >= FAST_AIM,
        aim=f">= {FAST_AIM:g}x",
    )
