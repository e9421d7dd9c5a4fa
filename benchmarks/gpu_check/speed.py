"""The engine's speed and answers beside the plain eager loop, in each precision."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from analysis.edits import PreparedSubject, prepare
from analysis.engine.stopwatch import wait_for
from analysis.records import PointKey, SubjectSpec, Sums, SweepSpec
from analysis.subjects import load_subject
from analysis.sweeps import PlannedSweep, plan_sweep
from benchmarks.gpu_check.report import Report
from benchmarks.gpu_check.tables import FLIPS_AIM, flips, last_sums
from benchmarks.images import random_images
from pruners.capture import named_state
from pruners.float32 import Float32, float32

BATCHES = (250, 1000, 2000, 8000)
FAST = ("tf32", "bf16", "fp16")
MOST_TURNS = 5
MODES: tuple[Float32, ...] = ("ieee", "tf32")
# What a GPU is for: times the plain loop's speed at its best batch, and at a batch of 250.
STRICT_AIM, FAST_AIM, SMALL_BATCH_AIM = 2.2, 4.0, 10.0


@dataclass(frozen=True)
class Case:
    """A subject that is timed.

    Attributes:
        name: What it is called in the table.
        model: Its address.
        samples: Samples that are evaluated.
        batch: Largest batch of the plain loop.
        until: Share of all time after which its turns are not repeated any more.
        is_small: Whether it is bound by launches at a batch of 250.
    """

    name: str
    model: str
    samples: int
    batch: int
    until: float
    is_small: bool = True


CASES = (
    Case("resnet20", "sample:resnet20", 8000, 8000, until=0.15),
    Case("mobilenet_small", "sample:mobilenet_small", 8000, 8000, until=0.27),
    Case("resnet50", "torchvision:resnet50", 240, 240, until=0.45, is_small=False),
)


def opened(case: Case, folder: Path, device: str) -> PreparedSubject:
    """Return a subject that is ready to be measured."""
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
    return prepare(load_subject(spec))


class PlainLoop:
    """The whole eager model, once an edit and batch."""

    def __init__(self, prepared: PreparedSubject, planned: PlannedSweep) -> None:
        split = prepared.subject.evaluation
        assert split is not None
        self._model, self._state = prepared.model, named_state(prepared.model)
        self.inputs, labels = split.part(0, len(split))
        self.device = self.inputs.device
        assert labels is not None
        self._labels = labels
        self._edits = {
            key: item.edit(prepared).tensors for item in planned.grid.items for key in item.keys[:1]
        }

    @torch.inference_mode()
    def run(self, batch: int, *, edits: int | None = None) -> dict[PointKey, int]:
        """Return the right answers of each edit, or of the first so many."""
        found = {}
        for key, edit in itertools.islice(self._edits.items(), edits):
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


@dataclass
class Times:
    """Seconds of each turn, what was counted, and which of its programs the engine chose."""

    plain: dict[tuple[Float32, int], list[float]] = field(default_factory=dict)
    engine: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[PointKey, int] = field(default_factory=dict)
    sums: dict[str, dict[PointKey, Sums]] = field(default_factory=dict)
    ways: dict[str, str] = field(default_factory=dict)

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
    """Time the engine in each precision and the plain loop, in turns, while there is time."""
    spec = SweepSpec(subject=prepared.subject.spec, criteria=("l1",), ratios=(0.3, 0.5, 0.7))
    planned = {
        name: plan_sweep(prepared, dataclasses.replace(spec, precision=name))
        for name in ("float32", *FAST)
    }
    loop = PlainLoop(prepared, planned["float32"])
    times = Times()
    # What runs for the first time chooses its kernels, for the second time it is recorded.
    _time_plain(loop, Times(), itertools.product(MODES, sizes_of(case)), edits=2)
    for name in list(planned):
        with report.guarded(f"{case.name} {name}"):
            for _ in range(2):
                last_sums(planned[name])
            continue
        del planned[name]
    chosen = [*itertools.product(MODES, sizes_of(case))]
    for _ in range(MOST_TURNS):
        begun = report.seconds
        _time_plain(loop, times, chosen)
        for name, sweep in planned.items():
            seconds, times.sums[name] = timed(loop.device, functools.partial(last_sums, sweep))
            times.engine.setdefault(name, []).append(seconds)
        if not report.has_time(report.seconds - begun, share=case.until):
            break
        # The other batches were slower.
        chosen = [
            (mode, size)
            for mode in MODES
            for size in dict.fromkeys((sizes_of(case)[0], times.best(mode)[1]))
        ]
    times.ways = {name: _way(prepared, name) for name in planned}
    return times


def _time_plain(
    loop: PlainLoop,
    times: Times,
    chosen: Iterable[tuple[Float32, int]],
    *,
    edits: int | None = None,
) -> None:
    """Time the plain loop in some modes and batches."""
    for mode, size in chosen:
        with float32(mode):
            seconds, found = timed(loop.device, functools.partial(loop.run, size, edits=edits))
        times.plain.setdefault((mode, size), []).append(seconds)
        if mode == "ieee":
            times.counts = found


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
        text += f"; {times.ways[name]}"
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


def _way(prepared: PreparedSubject, precision: str) -> str:
    """Return which of its programs the engine chose."""
    program = prepared.evaluator_at(precision).program
    if program is None:
        return "not captured"
    layout = ", channels last" if program.channels_last else ""
    return f"fused {program.fuse.name.lower()}{layout}"
