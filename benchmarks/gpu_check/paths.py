"""What else there is: the CPU's table, live edits, processes, criteria and repairs."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics

import torch

from analysis.edits import PreparedSubject, prepare
from analysis.evaluation import LiveEvaluator, evaluate_plan
from analysis.records import Plan, PointKey, SubjectSpec, Sums, SweepSpec
from analysis.recovery import Recovery, recover_plan
from analysis.recovery.training import TrainingRecipe, iter_training
from analysis.repairs import NO_REPAIR, plan_repairs
from analysis.subjects import load_subject
from analysis.sweeps import iter_sweep, plan_sweep
from analysis.sweeps.executors import LocalExecutor, ProcessExecutor
from benchmarks.gpu_check.report import Report
from benchmarks.gpu_check.speed import FLIPS_AIM, flips, last_sums, timed
from benchmarks.live_edit import random_edits
from pruners.criteria import scoring
from pruners.float32 import float32


def table_on(device: str, name: str) -> dict[PointKey, Sums]:
    """Return the table of a sample on a device."""
    subject = SubjectSpec(
        model=f"sample:{name}", data="sample:fashion-mnist", samples=1000, device=device
    )
    spec = SweepSpec(subject=subject, criteria=("l1", "fpgm", "taylor"), ratios=(0.2, 0.5))
    return last_sums(plan_sweep(prepare(load_subject(subject)), spec))


def check_devices(device: str, report: Report) -> None:
    """Compare the table of a sweep on the device with the CPU's."""
    for name in ("resnet20", "mobilenet_small", "vit_tiny"):
        with report.guarded(f"{name} against the CPU"):
            here, there = table_on("cpu", name), table_on(device, name)
            other, answers = flips(
                there, {key: sums.count("correct") for key, sums in here.items()}
            )
            loss = max(abs(there[key]["loss"] / sums["loss"] - 1) for key, sums in here.items())
            report.add(
                f"{name} against the CPU",
                f"{other} of {answers:,} answers, loss within {loss:.1e}",
                passed=other <= max(1.0, FLIPS_AIM * answers),
                aim="<= 1 in 100,000",
            )


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
        passed=full < passes[250],
        aim="below one full forward",
    )


def check_processes(prepared: PreparedSubject, spec: SweepSpec, report: Report) -> None:
    """Compare a slice shared out among two processes with that of one."""
    planned = plan_sweep(prepared, spec)
    items, device = planned.grid.items, spec.subject.device
    last = len(planned.slices) - 1
    alone = LocalExecutor(prepared, spec, items, planned.slices)
    together = ProcessExecutor(prepared, spec, items, planned.slices, (device, device))
    with contextlib.closing(together):
        (one,) = alone.measure([(last, items)], lambda: False) or ()
        (two,) = together.measure([(last, items)], lambda: False) or ()
    same = all(
        one.sums[item].count(name) == two.sums[item].count(name)
        for item in items
        for name in ("correct", "lost", "gained", "agree")
    )
    loss = max(abs(one.sums[item]["loss"] / two.sums[item]["loss"] - 1) for item in items)
    report.add(
        "two processes on the device",
        f"{len(items)} points, all counts equal: {same}, loss within {loss:.0e}",
        passed=same and loss < 1e-9,
        aim="the same table",
    )


def check_sweeps(prepared: PreparedSubject, sweep: SweepSpec, report: Report) -> None:
    """Run a sweep by all criteria, an adaptive one, and one shared out among processes."""
    one = dataclasses.replace(sweep, criteria=("l1",))
    with report.guarded("all criteria"):
        *_, update = iter_sweep(plan_sweep(prepared, sweep))
        report.add(
            "all criteria",
            f"{len(sweep.criteria)} criteria, {len(update.sums)} points, {len(update.failed)} "
            "do not apply",
        )
    with report.guarded("adaptive mode"):
        adaptive = dataclasses.replace(one, mode="adaptive", ratios=(0.2, 0.5, 0.8))
        *_, update = iter_sweep(plan_sweep(prepared, adaptive))
        report.add("adaptive mode", f"{len(update.sums)} points")
    with report.guarded("two processes on the device"):
        check_processes(prepared, one, report)


def check_repairs(prepared: PreparedSubject, plan: Plan, report: Report) -> None:
    """Evaluate a plan after each repair, and after a short training."""
    found: Recovery | None = None
    recipe = TrainingRecipe(steps=20, lr=0.01)
    for name in (*plan_repairs(), recipe.method):
        with report.guarded(f"repair {name}"):
            if name == recipe.method:
                *_, update = iter_training(prepared, plan, recipe, seed=0)
                found = update.recovery
            else:
                found = None if name == NO_REPAIR else recover_plan(prepared, plan, method=name)
            told = evaluate_plan(prepared, plan, recovery=found, latency_seconds=0.3)
            report.add(
                f"repair {name}",
                f"accuracy {told.removed.accuracy:.4f}, "
                f"{told.same_answers} of {told.samples} masked = removed",
                passed=told.same_answers == told.samples,
            )


def check_paths(device: str, report: Report) -> None:
    """Run what else there is, on few samples."""
    spec = SubjectSpec(
        model="sample:resnet20", data="sample:fashion-mnist", samples=512, device=device
    )
    with report.guarded("paths"):
        prepared = prepare(load_subject(spec))
        criteria = scoring("channel")
        check_sweeps(prepared, SweepSpec(subject=spec, criteria=criteria, ratios=(0.5,)), report)
        plan = random_edits(prepared, 1, 0)[-1]
        plan = dataclasses.replace(plan, fingerprint=prepared.subject.fingerprint)
        check_repairs(prepared, plan, report)
