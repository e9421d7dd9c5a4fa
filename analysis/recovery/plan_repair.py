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
    Batches,
    PlanWork,
    calibration_batches,
    check_repair,
    open_student,
    plan_repairs,
    weight_masks,
)
from pruners.errors import InputError, UnknownNameError
from pruners.float32 import strict
from pruners.granularity import parse
from pruners.layers import find_layer, to_output_first
from pruners.preserve import twin
from pruners.reconstruction import KnownLayers, LayerRepair
from pruners.selection import kept_indices
from pruners.semantics import SEMANTICS

# Fitted layers of the plans that came before, outputs of the dense model and the calibration set
# are kept up to these sizes.
KNOWN_BYTES = 2**28
OUTPUT_BYTES = 2**29
BATCHES_BYTES = 2**28


@dataclass(frozen=True, slots=True, eq=False)
class Recovery:
    """A repaired, or trained, plan.

    Attributes:
        plan: The plan, with this repair or training; ``search`` and training that moves masks list
            other kept indices than were asked for.
        edit: All tensors that differ from the dense model, and what is removed physically.
        layers: Errors per layer.
        skipped: Layers left as they were, with reasons.
        method: One of `plan_repairs`, or of `TRAINING_METHODS`.
        seconds: Wall time.
    """

    plan: Plan
    edit: Edit
    layers: tuple[LayerRepair, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    seconds: float = 0.0


class Repairer:
    """Repairs one plan after another, and only what the next one changes.

    ``lsq`` and ``obs`` go from layer to layer: a plan that differs from an earlier one in some
    groups has its layers fitted from the first that reads one of them on; those before are taken
    over. The result is the same to the bit. Safe to use from several threads.

    Args:
        prepared: The subject; its model is left as found.
        method: One of `plan_repairs`.
        max_bytes: Memory for the layers that are kept; with 0 nothing is kept.

    Raises:
        UnknownNameError: No such method.
    """

    def __init__(
        self, prepared: PreparedSubject, method: str, *, max_bytes: int = KNOWN_BYTES
    ) -> None:
        if method not in plan_repairs():
            raise UnknownNameError("recovery method", method, plan_repairs())
        self._prepared, self._method = prepared, method
        self._known = KnownLayers(
            max_bytes=max_bytes, output_bytes=OUTPUT_BYTES if max_bytes else 0
        )
        self._batches: Batches | None = None

    @strict
    def repair(self, plan: Plan, *, progress: OnProgress | None = None) -> Recovery:
        """Repair the model of a plan on the calibration set.

        Args:
            plan: What is pruned; how it says that it is repaired does not matter.
            progress: Told after each batch, layer or group, by what the method works through.

        Raises:
            UnsupportedError: The method does not fit the plan's semantics or granularity.
            PlanError: The plan does not fit the subject.
            InputError: There is no calibration data, or nothing is pruned.
        """
        pruned_kinds = [item.granularity for item in plan.entries if item.kept < item.total]
        repair = check_repair(
            self._method,
            removes=SEMANTICS.get(plan.semantics).removes,
            granularities=pruned_kinds,
        )
        if not pruned_kinds:
            raise InputError("the plan prunes nothing, so there is nothing to recover")
        plan = resolve(self._prepared, require_fit(self._prepared, plan))
        # Repairs watch layers; what others run through the model meanwhile is not theirs.
        watched = dataclasses.replace(self._prepared.subject, model=twin(self._prepared.model))
        prepared = self._prepared.of(watched)
        batches = self._calibration()
        start = time.perf_counter()
        if repair.choose is not None:
            plan = repair.choose(prepared, plan, batches)
        assert repair.in_plans is not None
        with torch.inference_mode(mode=False):
            edit = plan_edit(self._prepared, plan)
            student = open_student(prepared, edit.kept)
            # A branch that is gone has nothing left to repair.
            pruned = [
                item
                for item in pruned_targets(prepared, plan)
                if not parse(item[0].granularity).is_whole
            ]
            work = PlanWork(prepared, edit, pruned, student, batches, progress, self._known)
            repaired = repair.in_plans(work)
        dense = {**prepared.evaluator.state, **edit.tensors}
        tensors = {**edit.tensors, **student.full(repaired.edit, dense)}
        return Recovery(
            plan.repaired_by(self._method),
            dataclasses.replace(edit, tensors=tensors),
            repaired.layers,
            repaired.skipped,
            self._method,
            time.perf_counter() - start,
        )

    def _calibration(self) -> Batches:
        """Return the calibration set; read once where it is small."""
        if self._batches is not None:
            return self._batches
        batches = calibration_batches(self._prepared)
        if sum(inputs.nbytes for inputs, _ in batches) <= BATCHES_BYTES:
            self._batches = batches
        return batches


def recover_plan(
    prepared: PreparedSubject, plan: Plan, *, method: str, progress: OnProgress | None = None
) -> Recovery:
    """Repair the model of one plan; see `Repairer`.

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
    return Repairer(prepared, method, max_bytes=0).repair(plan, progress=progress)


def pruned_targets(prepared: PreparedSubject, plan: Plan) -> Iterable[tuple[Target, Tensor]]:
    """Yield what a plan prunes, with masks (True = keep)."""
    for entry in plan.entries:
        if entry.kept < entry.total:
            yield mask_of_entry(prepared, entry, reduction=plan.reduction)


def elements_left(
    prepared: PreparedSubject, target: Target, mask: Tensor, tensors: Mapping[str, Tensor]
) -> Tensor:
    """Return which elements of a layer are left in recovered weights, True = kept.

    Repairs that choose in order, and trainings that move masks, keep others than the criterion
    does, as many of them.

    Args:
        prepared: The subject.
        target: The layer, or a group, whose mask is returned as it is.
        mask: The plan's mask, output channels first.
        tensors: The recovered weights by name.
    """
    if target.group is not None:
        return mask
    (name,) = weight_masks(prepared, target, mask)
    if name not in tensors:
        return mask
    weight = to_output_first(tensors[name], find_layer(prepared.model, target.layer))
    moved = bool(weight[~mask.to(weight.device)].any())
    return (weight != 0).to(mask.device) if moved else mask


def recovered_model(prepared: PreparedSubject, recovery: Recovery) -> nn.Module:
    """Return the repaired model with the plan's channels physically removed.

    Weights of element-like granularities are zeros in it.
    """
    kept = dict(recovery.edit.kept)
    for target, mask in pruned_targets(prepared, recovery.plan):
        if target.group is not None:
            kept[target.group] = kept_indices(mask)
    return edited_model(prepared, dataclasses.replace(recovery.edit, kept=kept))
