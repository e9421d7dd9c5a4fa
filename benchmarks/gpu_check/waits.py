"""Live edits against full forward passes, and how often an edit waits for the device."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Sequence

import torch

from analysis.edits import PreparedSubject
from analysis.evaluation import LiveEvaluator
from analysis.measuring import EditRunner, measure
from analysis.records import Plan, SweepSpec
from analysis.sweeps import PlannedSweep, plan_sweep
from benchmarks.gpu_check.report import Report
from benchmarks.gpu_check.speed import timed
from benchmarks.live_edit import random_edits
from pruners.float32 import float32

# Kernels are chosen at the first, parts recorded at the second.
WARM = 3


def check_live(prepared: PreparedSubject, report: Report) -> None:
    """Time live edits against full forward passes."""
    device = prepared.subject.example.device
    split = prepared.subject.evaluation
    assert split is not None
    live = LiveEvaluator(prepared)
    list(live.evaluate(Plan(subject=prepared.subject.spec, fingerprint="", entries=())))
    plans = random_edits(prepared, 3, 0)
    for plan in plans[:6]:
        list(live.evaluate(plan))
    results = [list(live.evaluate(plan)) for plan in plans]
    first = statistics.median(found[0].seconds for found in results)
    full = statistics.median(found[-1].seconds for found in results)
    inputs = split.part(0, len(split))[0]

    @torch.inference_mode()
    def forward(batch: int) -> None:
        for start in range(0, len(inputs), batch):
            prepared.model(inputs[start : start + batch])

    passes = {}
    for size in (250, len(inputs)):
        with float32():
            passes[size] = min(timed(device, lambda size=size: forward(size))[0] for _ in range(5))
    report.add(
        f"live edit, {len(inputs):,} images",
        f"first {1e3 * first:.1f} ms, all {1e3 * full:.1f} ms; full forward "
        f"{1e3 * passes[250]:.1f} ms at 250, {1e3 * passes[len(inputs)]:.1f} ms in one batch",
        passed=full < min(passes.values()),
        aim="below one full forward",
    )


def waits(prepared: PreparedSubject, planned: PlannedSweep, items: Sequence[object]) -> int:
    """Return how often the device was waited for while some items were measured on a slice."""
    chosen = [item for item in planned.grid.items if item in items]
    runner = EditRunner(prepared, names=[item.names for item in chosen])
    edits = {item: (lambda item=item: item.edit(prepared)) for item in chosen}
    found = 0
    for turn in range(WARM + 1):
        whole = planned.slices.read(0)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn" if turn == WARM else "default")
            try:
                list(measure(prepared, edits, [whole], prepared.subject.task, runner=runner))
            finally:
                torch.cuda.set_sync_debug_mode("default")
        # torch also warns of the mode itself.
        found = sum("called a synchronizing" in str(item.message) for item in told)
    return found


def check_waits(prepared: PreparedSubject, report: Report) -> None:
    """Count what an edit waits for: what twice as many edits wait for more."""
    if prepared.subject.example.device.type != "cuda":
        return
    spec = SweepSpec(subject=prepared.subject.spec, criteria=("l1",), ratios=(0.3, 0.6))
    planned = plan_sweep(prepared, spec)
    items = [item for item in planned.grid.items if item.names]
    half = len(items) // 2
    few, many = waits(prepared, planned, items[:half]), waits(prepared, planned, items)
    report.add(
        "waits for the device, one slice",
        f"{few} with {half} edits, {many} with {len(items)}",
        passed=many <= few,
        aim="none an edit",
    )
