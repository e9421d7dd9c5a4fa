"""Plans that are repaired, and what is measured of them."""

from __future__ import annotations

import dataclasses

from analysis.edits.edit import Edit
from analysis.edits.prepared import PreparedSubject, prepare
from analysis.edits.target import kept_at, targets
from analysis.measuring import Slices, measure
from analysis.plans.apply import start_plan
from analysis.records import Sums
from analysis.records.plan import Plan, PlanEntry
from analysis.records.subject import SubjectSpec
from analysis.subjects.subject import load_subject

SPEC = {"samples": 80, "calibration_samples": 64, "batch_size": 40}


def make_context(model: str, data: str | None = "sample:fashion-mnist") -> PreparedSubject:
    return prepare(load_subject(SubjectSpec(model=f"sample:{model}", data=data, **SPEC)))


def measured_sums(prepared: PreparedSubject, edit: Edit) -> Sums:
    split = prepared.subject.evaluation
    assert split is not None
    loop = measure(prepared, {"edit": edit}, Slices(split, 50), prepared.subject.task)
    return sum((found.require("edit") for found in loop), Sums())


def plan_of(prepared: PreparedSubject, ratio: float, *, granularity: str = "channel") -> Plan:
    """Prune the first five targets: a residual group and layers alone in theirs."""
    plan = start_plan(prepared, criterion="l1", granularity=granularity)
    by_name = {target.name: target for target in targets(prepared, granularity)}

    def pruned(entry: PlanEntry) -> PlanEntry:
        target = by_name[entry.group or entry.layer]
        return dataclasses.replace(entry, ratio=ratio, kept=kept_at(prepared, target, ratio))

    return dataclasses.replace(plan, entries=tuple(map(pruned, plan.entries[:5])))
