"""Recover accuracy of a plan without training: repair it and measure what that gains."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from analysis.edits import (
    Batches,
    Edit,
    PreparedSubject,
    Target,
    calibration_batches,
    check_repair,
    removed_model,
    weight_masks,
)
from analysis.plans import mask_of_entry, plan_edit, require_fit, resolve
from analysis.records import OnProgress, Plan, Progress, counting
from analysis.recovery.mask_tuning import searched_plan, tuned_edit
from analysis.recovery.student import Student, open_student
from pruners.errors import InputError, UnknownNameError
from pruners.reconstruction import (
    METHOD_HELP,
    LayerRepair,
    Repair,
    batch_norm_buffers,
    repair_layers,
)

RECOVERY_HELP = {
    "bn": "estimate batch-norm statistics anew",
    **METHOD_HELP,
    "tune": "mask tuning: a factor for each kept channel (Kwon et al.)",
    "search": "mask search: other channels at the same counts, then mask tuning (Kwon et al.)",
}
METHODS = tuple(RECOVERY_HELP)


@dataclass(frozen=True, slots=True, eq=False)
class Recovery:
    """A repaired plan.

    Attributes:
        plan: The plan; ``search`` lists other kept indices than the one that was asked.
        edit: All tensors that differ from the dense model, and what is removed physically.
        layers: Errors per layer.
        skipped: Layers left as they were, with reasons.
        method: One of `METHODS`.
        seconds: Wall time.
    """

    plan: Plan
    edit: Edit
    layers: tuple[LayerRepair, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    seconds: float = 0.0


def recover_plan(
    prepared: PreparedSubject, plan: Plan, *, method: str, progress: OnProgress | None = None
) -> Recovery:
    """Repair the model of a plan on the calibration set.

    Args:
        prepared: The subject; its model is left as found.
        plan: What is pruned.
        method: One of `METHODS`.
        progress: Told after each batch, layer or group, by what the method works through.

    Raises:
        UnknownNameError: No such method.
        UnsupportedError: The method does not fit the plan's semantics.
        PlanError: The plan does not fit the subject.
        InputError: There is no calibration data, or nothing is pruned.
    """
    if method not in METHODS:
        raise UnknownNameError("recovery method", method, METHODS)
    check_repair("tune" if method == "search" else method, semantics=plan.semantics)
    if not any(entry.kept < entry.total for entry in plan.entries):
        raise InputError("the plan prunes nothing, so there is nothing to recover")
    plan = resolve(prepared, require_fit(prepared, plan))
    batches = calibration_batches(prepared)
    start = time.perf_counter()
    if method == "search":
        plan = searched_plan(prepared, plan, batches)
    with torch.inference_mode(mode=False):
        edit = plan_edit(prepared, plan)
        work = _Work(prepared, plan, edit, open_student(prepared, edit.kept), batches, progress)
        repaired = _METHODS[method](work)
    dense = {**prepared.evaluator.state, **edit.tensors}
    tensors = {**edit.tensors, **work.student.full(repaired.edit, dense)}
    return Recovery(
        plan,
        dataclasses.replace(edit, tensors=tensors),
        repaired.layers,
        repaired.skipped,
        method,
        time.perf_counter() - start,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What a method is given: the plan's edit, and the model that it repairs."""

    prepared: PreparedSubject
    plan: Plan
    edit: Edit
    student: Student
    batches: Batches
    progress: OnProgress | None

    @property
    def start(self) -> dict[str, Tensor]:
        """The tensors of the pruned model, as the student has them."""
        return self.student.small(self.edit.tensors)

    @property
    def unseen(self) -> frozenset[str]:
        """Groups whose removal the student does not show."""
        return frozenset() if self.student.is_smaller else frozenset(self.edit.kept)

    def count(self, done: int) -> None:
        """Tell the progress over batches."""
        if self.progress is not None:
            self.progress(Progress(done, len(self.batches), "batches"))


def _batch_norm(work: _Work) -> Repair:
    buffers = batch_norm_buffers(
        work.student.model, work.batches, edit=work.start, progress=work.count
    )
    if not buffers:
        raise InputError("the model has no batch norm; recovery bn does nothing for it")
    return Repair(buffers, (), {})


def _fitted(work: _Work, method: str) -> Repair:
    masks = plan_masks(work.prepared, work.plan, leave=work.unseen)
    result = repair_layers(
        work.student.model,
        work.batches,
        edit=work.start,
        masks=work.student.small(masks),
        method=method,
        teacher=work.prepared.model if work.student.is_smaller else None,
        rows=work.student.rows,
        progress=counting(work.progress, "layers"),
    )
    left = dict.fromkeys(work.unseen, "evaluated by physical removal, which has no repair")
    return dataclasses.replace(result, skipped={**result.skipped, **left})


def _tuned(work: _Work) -> Repair:
    prepared, tensors = work.prepared, work.start
    skipped = {}
    pruned = list(_pruned(prepared, work.plan))
    for done, (target, mask) in enumerate(pruned, start=1):
        if target.group is None or target.group in work.edit.kept:
            skipped[target.name] = "mask tuning works on groups of channels that masking evaluates"
        else:
            tensors |= tuned_edit(
                work.student,
                prepared.model,
                prepared.group(target.group),
                mask,
                edit=tensors,
                batches=work.batches,
            )
        if work.progress is not None:
            work.progress(Progress(done, len(pruned), "groups"))
    return Repair(tensors, (), skipped)


_METHODS: dict[str, Callable[[_Work], Repair]] = {
    "bn": _batch_norm,
    "lsq": partial(_fitted, method="lsq"),
    "obs": partial(_fitted, method="obs"),
    "tune": _tuned,
    "search": _tuned,
}


def _pruned(prepared: PreparedSubject, plan: Plan) -> Iterable[tuple[Target, Tensor]]:
    for entry in plan.entries:
        if entry.kept < entry.total:
            yield mask_of_entry(prepared, entry, reduction=plan.reduction)


def plan_masks(
    prepared: PreparedSubject, plan: Plan, *, leave: Container[str] = ()
) -> dict[str, Tensor]:
    """Return which weights a repair of a plan may fit: weight name -> mask, True = keep.

    Args:
        prepared: The subject.
        plan: The plan.
        leave: Groups to leave out.
    """
    masks: dict[str, Tensor] = {}
    for target, mask in _pruned(prepared, plan):
        if target.group in leave:
            continue
        for name, keep in weight_masks(prepared, target, mask).items():
            masks[name] = masks[name] & keep if name in masks else keep
    return masks


def recovered_model(prepared: PreparedSubject, recovery: Recovery) -> nn.Module:
    """Return the repaired model with the plan's channels physically removed.

    Weights of element-like granularities are zeros in it.
    """
    kept = dict(recovery.edit.kept)
    for target, mask in _pruned(prepared, recovery.plan):
        if target.group is not None:
            kept[target.group] = tuple(torch.nonzero(mask).flatten().tolist())
    return removed_model(prepared, dataclasses.replace(recovery.edit, kept=kept))
