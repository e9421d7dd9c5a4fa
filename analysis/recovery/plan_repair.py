"""Recover accuracy of a plan without training: its model repaired by a method of the registry."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from analysis.edits import Edit, PreparedSubject, Target, edited_model
from analysis.plans import mask_of_entry, plan_edit, require_fit, resolve
from analysis.records import OnProgress, Plan
from analysis.repairs import (
    PlanWork,
    calibration_batches,
    check_repair,
    open_student,
    plan_repairs,
)
from pruners.errors import InputError, UnknownNameError
from pruners.float32 import strict
from pruners.preserve import twin
from pruners.reconstruction import LayerRepair
from pruners.selection import kept_indices
from pruners.semantics import SEMANTICS


@dataclass(frozen=True, slots=True, eq=False)
class Recovery:
    """A repaired plan.

    Attributes:
        plan: The plan; ``search`` lists other kept indices than the one that was asked.
        edit: All tensors that differ from the dense model, and what is removed physically.
        layers: Errors per layer.
        skipped: Layers left as they were, with reasons.
        method: One of `plan_repairs`.
        seconds: Wall time.
    """

    plan: Plan
    edit: Edit
    layers: tuple[LayerRepair, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    seconds: float = 0.0


@strict
def recover_plan(
    prepared: PreparedSubject, plan: Plan, *, method: str, progress: OnProgress | None = None
) -> Recovery:
    """Repair the model of a plan on the calibration set.

    Args:
        prepared: The subject; its model is left as found.
        plan: What is pruned.
        method: One of `plan_repairs`.
        progress: Told after each batch, layer or group, by what the method works through.

    Raises:
        UnknownNameError: No such method.
        UnsupportedError: The method does not fit the plan's semantics.
        PlanError: The plan does not fit the subject.
        InputError: There is no calibration data, or nothing is pruned.
    """
    if method not in plan_repairs():
        raise UnknownNameError("recovery method", method, plan_repairs())
    repair = check_repair(method, removes=SEMANTICS.get(plan.semantics).removes)
    if not any(entry.kept < entry.total for entry in plan.entries):
        raise InputError("the plan prunes nothing, so there is nothing to recover")
    plan = resolve(prepared, require_fit(prepared, plan))
    # Repairs watch layers; what others run through the model meanwhile is not theirs.
    watched = dataclasses.replace(prepared.subject, model=twin(prepared.model))
    prepared = dataclasses.replace(prepared, subject=watched)
    batches = calibration_batches(prepared)
    start = time.perf_counter()
    if repair.choose is not None:
        plan = repair.choose(prepared, plan, batches)
    assert repair.in_plans is not None
    with torch.inference_mode(mode=False):
        edit = plan_edit(prepared, plan)
        student = open_student(prepared, edit.kept)
        pruned = list(pruned_targets(prepared, plan))
        work = PlanWork(prepared, edit, pruned, student, batches, progress)
        repaired = repair.in_plans(work)
    dense = {**prepared.evaluator.state, **edit.tensors}
    tensors = {**edit.tensors, **student.full(repaired.edit, dense)}
    return Recovery(
        plan,
        dataclasses.replace(edit, tensors=tensors),
        repaired.layers,
        repaired.skipped,
        method,
        time.perf_counter() - start,
    )


def pruned_targets(prepared: PreparedSubject, plan: Plan) -> Iterable[tuple[Target, Tensor]]:
    """Yield what a plan prunes, with masks (True = keep)."""
    for entry in plan.entries:
        if entry.kept < entry.total:
            yield mask_of_entry(prepared, entry, reduction=plan.reduction)


def recovered_model(prepared: PreparedSubject, recovery: Recovery) -> nn.Module:
    """Return the repaired model with the plan's channels physically removed.

    Weights of element-like granularities are zeros in it.
    """
    kept = dict(recovery.edit.kept)
    for target, mask in pruned_targets(prepared, recovery.plan):
        if target.group is not None:
            kept[target.group] = kept_indices(mask)
    return edited_model(prepared, dataclasses.replace(recovery.edit, kept=kept))
