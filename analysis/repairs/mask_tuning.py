"""Masks chosen by search, and mask values tuned, on calibration data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from analysis.edits import PreparedSubject
from analysis.records import Plan, PlanEntry
from analysis.repairs.layers import Batches, visible_readers
from analysis.repairs.student import Student
from pruners.errors import InputError
from pruners.float32 import strict
from pruners.granularity import parse
from pruners.groups import Group
from pruners.layers import (
    INPUT_FIRST_TYPES,
    conv_groups,
    find_layer,
    to_output_first,
)
from pruners.reconstruction import capture_moments, search_mask, unit_gate_gradients, unit_scales
from pruners.selection import kept_indices
from pruners.statistics import input_gate_gradients


@strict
def searched_plan(prepared: PreparedSubject, plan: Plan, batches: Batches) -> Plan:
    """Return the plan with the channels that mask search keeps at the same counts."""
    wanted = {
        entry.group
        for entry in plan.entries
        if entry.group and entry.kept < entry.total and not parse(entry.granularity).is_whole
    }
    members = [
        member
        for name in sorted(wanted)
        for member in visible_readers(prepared.model, prepared.group(name))
    ]
    gradients = input_gate_gradients(
        prepared.model,
        batches,
        layers=list(dict.fromkeys(member.layer for member in members)),
        seed=plan.subject.seed,
        loss=prepared.subject.task.loss,
        draw=prepared.subject.task.drawn,
    )
    entries = tuple(
        _searched_entry(prepared, entry, gradients) if entry.group in wanted else entry
        for entry in plan.entries
    )
    return replace(plan, entries=entries)


def _searched_entry(
    prepared: PreparedSubject, entry: PlanEntry, gradients: Mapping[str, Tensor]
) -> PlanEntry:
    assert entry.group is not None
    group = prepared.group(entry.group)
    found = [
        unit_gate_gradients(gradients[member.layer], member.index, group.units)
        for member in visible_readers(prepared.model, group)
    ]
    if not found:
        raise InputError(f"group {group.id}: no layer that reads its channels can be watched")
    mask = search_mask(torch.stack(found).sum(0), entry.kept)
    return replace(entry, indices=kept_indices(mask), criterion="fisher")


@strict
def tuned_edit(
    student: Student,
    teacher: nn.Module,
    group: Group,
    mask: Tensor,
    *,
    edit: Mapping[str, Tensor],
    batches: Batches,
) -> dict[str, Tensor]:
    """Return the consumers' weights with a factor for each kept unit that comes closest to dense.

    Args:
        student: The model that is repaired.
        teacher: The dense model.
        group: A group that is pruned.
        mask: Boolean ``(units,)``, True = keep.
        edit: Tensors of the pruned model, as the student has them.
        batches: Calibration batches.
    """
    members = {member.layer: member for member in visible_readers(teacher, group)}
    moments = capture_moments(
        student.model,
        batches,
        layers=list(members),
        edit=edit,
        teacher=teacher if student.is_smaller else None,
        rows=student.rows,
    )
    # A layer that reads several groups has the factors of those before in the edit.
    state = {**student.state, **edit}
    index = {layer: student.index(member) for layer, member in members.items()}
    parts = []
    for layer, member in members.items():
        module = find_layer(student.model, layer)
        weight = to_output_first(state[member.name], module)
        units = _unit_of_inputs(module, index[layer])
        parts.append((moments[layer], weight, units, state.get(f"{layer}.bias")))
    scales = unit_scales(parts, kept=mask)
    new = {}
    for layer, member in members.items():
        at = index[layer].to(scales.device)
        factors = torch.where(at >= 0, scales[at.clamp_min(0)], 1.0)
        weight = state[member.name]
        shape = [1] * weight.dim()
        shape[member.dim] = -1
        new[member.name] = weight * factors.reshape(shape).to(weight.dtype)
    return new


def _unit_of_inputs(module: nn.Module, index: Tensor) -> Tensor:
    """Return the unit of each weight of one output, ``(G, D)``, from the consumer's index."""
    groups = conv_groups(module)
    if isinstance(module, INPUT_FIRST_TYPES):
        rows = index.reshape(groups, -1)
    else:
        rows = index[None].expand(groups, -1)
    return rows.repeat_interleave(math.prod(getattr(module, "kernel_size", ())), 1)
