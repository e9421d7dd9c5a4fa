"""Repairs of the model of a plan: everything pruned at once."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from analysis.edits import Edit, PreparedSubject, Target
from analysis.records import OnProgress, Progress, counting
from analysis.repairs.layers import Batches, weight_masks
from analysis.repairs.mask_tuning import tuned_edit
from analysis.repairs.student import Student
from pruners.errors import InputError
from pruners.granularity import parse
from pruners.groups import Structure
from pruners.layers import find_layer, to_output_first
from pruners.preserve import raw_bytes
from pruners.reconstruction import (
    Asked,
    Chooser,
    Fit,
    KnownLayers,
    Repair,
    batch_norm_buffers,
    choose_sparsegpt,
    choose_wanda,
    chosen_fit,
    least_squares,
    masked_fit,
    obs_fit,
    repair_layers,
)

Pruned = tuple[Target, Tensor]
# Kinds of granularity whose units are chosen anew where layers are pruned in order.
CHOSEN = frozenset({"element", "n:m"})


@dataclass(frozen=True, slots=True, eq=False)
class PlanWork:
    """What a repair is given: the plan's edit, and the model that is repaired.

    Attributes:
        prepared: The subject.
        edit: What the plan changes.
        pruned: What is pruned, with masks (True = keep).
        student: The model that is repaired.
        batches: The calibration set.
        progress: Told after each batch, layer or group, by what the repair works through.
        known: Layers that this repair fitted before on this subject; None where none are kept.
    """

    prepared: PreparedSubject
    edit: Edit
    pruned: Sequence[Pruned]
    student: Student
    batches: Batches
    progress: OnProgress | None
    known: KnownLayers | None = None

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


def batch_norm_plan(work: PlanWork) -> Repair:
    """Estimate batch-norm statistics anew.

    Raises:
        InputError: The model has no batch norm.
    """
    buffers = batch_norm_buffers(
        work.student.model, work.batches, edit=work.start, progress=work.count
    )
    if not buffers:
        raise InputError("the model has no batch norm; recovery bn does nothing for it")
    return Repair(buffers, (), {})


def least_squares_plan(work: PlanWork) -> Repair:
    """Fit all pruned layers by least squares."""
    return fitted_plan(work, fit=least_squares)


def obs_plan(work: PlanWork) -> Repair:
    """Update all pruned layers by OBS."""
    return fitted_plan(work, fit=obs_fit)


def sparsegpt_plan(work: PlanWork) -> Repair:
    """Choose elements by SparseGPT in the order of execution; OBS where units are pruned."""
    return fitted_plan(work, fit=obs_fit, choose=choose_sparsegpt)


def wanda_plan(work: PlanWork) -> Repair:
    """Choose elements by Wanda in the order of execution."""
    return fitted_plan(work, fit=masked_fit, choose=choose_wanda)


def fitted_plan(work: PlanWork, *, fit: Fit, choose: Chooser | None = None) -> Repair:
    """Fit all pruned layers to the dense ones, one after another.

    Args:
        work: What is repaired.
        fit: How a layer is fitted.
        choose: Chooses elements and N:M patterns anew, as many as the plan's masks keep.
    """
    masks = joint_masks(work.prepared, work.pruned, leave=work.unseen)
    # Without a graph nobody knows that the model calls the same layers for all inputs.
    known = None if work.prepared.graph is None else work.known
    asked = {} if choose is None else _asked(work)
    result = repair_layers(
        work.student.model,
        work.batches,
        edit=work.start,
        masks=work.student.small(masks),
        fit=fit,
        fits={} if choose is None else {it: chosen_fit(choose, asked[it]) for it in asked},
        teacher=work.prepared.model if work.student.is_smaller else None,
        rows=work.student.rows,
        known=known,
        context=_context(work, asked),
        progress=counting(work.progress, "layers"),
    )
    left = dict.fromkeys(work.unseen, "evaluated by physical removal, which has no repair")
    return dataclasses.replace(result, skipped={**result.skipped, **left})


def _asked(work: PlanWork) -> dict[str, Asked]:
    """Return how much stays of the layers whose elements are pruned."""
    units = [item for item in work.pruned if item[0].group is not None]
    left = work.student.small(joint_masks(work.prepared, units, leave=work.unseen))
    found = {}
    for target, mask in work.pruned:
        granularity = parse(target.granularity)
        if target.group is None and granularity.kind in CHOSEN:
            ((name, own),) = weight_masks(work.prepared, target, mask).items()
            module = find_layer(work.student.model, target.layer)
            allowed = to_output_first(left[name], module) if name in left else None
            kept = int(work.student.small({name: own})[name].sum())
            found[target.layer] = Asked(granularity, kept, allowed)
    return found


def _context(work: PlanWork, asked: Mapping[str, Asked]) -> bytes:
    """Return what tells apart smaller models, and what joint masks do not: patterns and numbers."""
    kept = sorted(work.edit.kept.items()) if work.student.is_smaller else ()
    patterns = [(target.name, target.granularity) for target, _ in work.pruned]
    found = hashlib.blake2b(repr((kept, patterns)).encode())
    for name, item in sorted(asked.items()):
        # Weights that a criterion and removed channels both take are in the joint mask once.
        if item.allowed is not None:
            found.update(f"{name}:{item.kept};".encode())
            found.update(raw_bytes(item.allowed))
    return found.digest()


def tuned_plan(work: PlanWork) -> Repair:
    """Scale the kept units of one group after the other, in whatever order the plan lists them."""
    prepared, tensors = work.prepared, work.start
    skipped = {}
    places = {} if prepared.structure is None else _places(prepared.structure)
    pruned = sorted(work.pruned, key=lambda item: places.get(item[0].name, 0))
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


def _places(structure: Structure) -> dict[str, int]:
    return {group.id: place for place, group in enumerate(structure.groups)}


def joint_masks(
    prepared: PreparedSubject, pruned: Iterable[Pruned], *, leave: Container[str] = ()
) -> dict[str, Tensor]:
    """Return which weights a repair may fit: weight name -> mask, True = keep.

    Args:
        prepared: The subject.
        pruned: What is pruned, with masks.
        leave: Groups to leave out.
    """
    masks: dict[str, Tensor] = {}
    for target, mask in pruned:
        if target.group in leave:
            continue
        for name, keep in weight_masks(prepared, target, mask).items():
            masks[name] = masks[name] & keep if name in masks else keep
    return masks
