"""What else there is: criteria, the adaptive mode, processes, repairs and training."""

from __future__ import annotations

import contextlib
import dataclasses

from analysis.edits import PreparedSubject, prepare
from analysis.evaluation import evaluate_plan
from analysis.records import Plan, SubjectSpec, SweepSpec
from analysis.recovery import Recovery, recover_plan
from analysis.recovery.training import TrainingRecipe, iter_training
from analysis.repairs import NO_REPAIR, plan_repairs
from analysis.subjects import load_subject
from analysis.sweeps import iter_sweep, plan_sweep
from analysis.sweeps.executors import LocalExecutor, ProcessExecutor
from benchmarks.gpu_check.report import Report
from benchmarks.live_edit import random_edits
from pruners.criteria import scoring


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
