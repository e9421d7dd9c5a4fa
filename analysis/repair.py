"""Repairs of pruned models without training, for points of a sweep and for plans.

The formulas are in `pruners.reconstruct`, `pruners.batch_norm` and `pruners.mask_search`; here they
meet targets, edits and the calibration set.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from analysis.context import CALIBRATION_BATCH, SubjectContext
from analysis.edits import Edit, Target
from analysis.records import Plan, PlanEntry
from analysis.student import Student
from pruners.batch_norm import batch_norm_buffers
from pruners.columns import column_length
from pruners.errors import InputError, UnknownNameError, UnsupportedError
from pruners.gates import input_gate_gradients
from pruners.groups import Group
from pruners.layers import (
    TRANSPOSED_TYPES,
    conv_groups,
    find_layer,
    native_weight,
    to_native,
    to_output_first,
    weight_name,
)
from pruners.mask_search import search_mask, unit_gate_gradients
from pruners.moments import Moments, capture_moments
from pruners.reconstruct import unit_scales
from pruners.repair import METHOD_HELP as LAYER_HELP
from pruners.repair import repair_one
from pruners.semantics import consumer_masks

REPAIR_HELP = {
    "none": "no repair",
    "bn": "batch-norm statistics are estimated anew on the calibration set",
    **LAYER_HELP,
    "tune": "a factor for each kept unit instead of new weights (mask tuning of Kwon et al.)",
}
REPAIRS = tuple(REPAIR_HELP)
SWEEP_REPAIRS = ("none", "bn", "lsq")
# Repaired tensors of a sweep's points, and moments of layers, are kept up to this size each.
CACHE_BYTES = 512 * 2**20
Batches = list[tuple[Tensor, Tensor | None]]


def calibration_batches(context: SubjectContext) -> Batches:
    """Return the calibration set as a list of batches.

    Raises:
        InputError: The subject has no calibration data.
    """
    split = context.subject.calibration
    if split is None:
        raise InputError("a repair needs calibration data; give a data address")
    return list(split.batches(CALIBRATION_BATCH))


def check_repair(name: str, *, semantics: str = "removal", known: tuple[str, ...] = REPAIRS) -> str:
    """Return ``name`` if it is a repair that fits the semantics.

    Raises:
        UnknownNameError: No such repair there.
        UnsupportedError: It fits layers to what removal leaves, and semantics is ``weights``.
    """
    if name not in known:
        raise UnknownNameError("repair", name, known)
    if semantics == "weights" and name not in ("none", "bn"):
        raise UnsupportedError(
            f"repair {name} fits the next layers to removed channels; with semantics 'weights' "
            "only bn applies"
        )
    return name


def weight_masks(context: SubjectContext, target: Target, mask: Tensor) -> dict[str, Tensor]:
    """Return which weights a repair may fit after a target is pruned (semantics ``removal``).

    Args:
        context: The subject.
        target: What is pruned.
        mask: True = keep: ``(units,)``, or the weight's output-first shape.

    Returns:
        Weight name -> boolean mask in the module's layout, True = keep.
    """
    if target.group is not None:
        return consumer_masks(context.group(target.group), ~mask, context.evaluator.state)
    module = find_layer(context.model, target.layer)
    attribute = weight_name(module, name=target.layer)
    name = f"{target.layer}.{attribute}" if target.layer else attribute
    return {name: to_native(mask, module)}


class PointRepairer:
    """Repairs single points of a sweep: one target pruned, everything else dense.

    Only the target is pruned, so layers read what they read in the dense model and one pass over
    the calibration set serves all ratios and criteria of a target. (In a group whose consumers
    follow each other, the later ones' inputs are taken as dense.)

    Args:
        context: The subject.
        method: One of `SWEEP_REPAIRS`.
        semantics: ``removal`` or ``weights``.
    """

    def __init__(self, context: SubjectContext, *, method: str, semantics: str = "removal") -> None:
        self._method = check_repair(method, semantics=semantics, known=SWEEP_REPAIRS)
        self._context = context
        self._batches = calibration_batches(context) if method != "none" else []
        self._moments: OrderedDict[str, Moments] = OrderedDict()
        self._cache: OrderedDict[Hashable, Edit] = OrderedDict()

    def names(self, target: Target, mask: Tensor) -> frozenset[str]:
        """Return which tensors a repair of the target may change."""
        if self._method == "bn":
            return frozenset(
                name
                for name in self._context.evaluator.state
                if name.endswith(("running_mean", "running_var"))
            )
        if self._method == "none":
            return frozenset()
        weights = weight_masks(self._context, target, mask)
        biases = {f"{name.rpartition('.')[0]}.bias" for name in weights}
        return frozenset(weights) | (biases & set(self._context.evaluator.state))

    def repaired(self, target: Target, mask: Tensor, edit: Edit, *, key: Hashable) -> Edit:
        """Return the repaired edit of a point.

        Args:
            target: What is pruned.
            mask: True = keep.
            edit: The point's edit.
            key: What identifies the point, to compute it once.

        Raises:
            UnsupportedError: The point is only exact by physical removal.
        """
        if self._method == "none" or edit.is_dense:
            return edit
        if edit.kept:
            raise UnsupportedError(
                f"group {target.name} is evaluated by physical removal, which has no repair"
            )
        if key not in self._cache:
            with torch.inference_mode(mode=False):
                self._cache[key] = self._repair(target, mask, edit)
            self._trim()
        self._cache.move_to_end(key)
        return self._cache[key]

    def _repair(self, target: Target, mask: Tensor, edit: Edit) -> Edit:
        if self._method == "bn":
            buffers = batch_norm_buffers(self._context.model, self._batches, edit=edit.tensors)
            return replace(edit, tensors={**edit.tensors, **buffers})
        tensors = dict(edit.tensors)
        for weight, keep in weight_masks(self._context, target, mask).items():
            name = weight.rpartition(".")[0]
            if is_visible(self._context.model, name):
                new, _ = repair_one(
                    self._context.model,
                    name,
                    moments=self._moments_at(name),
                    mask=keep,
                    method=self._method,
                )
                tensors.update(new)
        return replace(edit, tensors=tensors)

    def _moments_at(self, layer: str) -> Moments:
        """Return a layer's dense moments; those of all layers come from one pass if they fit."""
        if layer not in self._moments:
            model = self._context.model
            together = [name for name in self._context.layers() if is_visible(model, name)]
            if sum(_moment_bytes(model, name) for name in together) > CACHE_BYTES:
                together = [layer]
            self._moments.update(capture_moments(model, self._batches, layers=together))
            while len(self._moments) > 1 and self._moments_bytes() > CACHE_BYTES:
                self._moments.popitem(last=False)
        return self._moments[layer]

    def _moments_bytes(self) -> int:
        return sum(item.gram.nbytes + item.cross.nbytes for item in self._moments.values())

    def _trim(self) -> None:
        while len(self._cache) > 1 and self._bytes() > CACHE_BYTES:
            self._cache.popitem(last=False)

    def _bytes(self) -> int:
        return sum(
            tensor.nbytes for edit in self._cache.values() for tensor in edit.tensors.values()
        )


def _moment_bytes(model: nn.Module, layer: str) -> int:
    module = find_layer(model, layer)
    groups, length = conv_groups(module), column_length(module) + 1
    weight = native_weight(module, name=layer)
    return 8 * (groups * length * length + weight.numel())


def is_visible(model: nn.Module, layer: str) -> bool:
    """Return whether the layer's inputs and outputs can be seen: not inside of attention."""
    if isinstance(find_layer(model, layer), nn.MultiheadAttention):
        return False
    parent = model.get_submodule(layer.rpartition(".")[0])
    return not isinstance(parent, nn.MultiheadAttention)


def searched_plan(context: SubjectContext, plan: Plan, batches: Batches) -> Plan:
    """Return the plan with the channels that mask search keeps at the same counts."""
    wanted = {entry.group for entry in plan.entries if entry.group and entry.kept < entry.total}
    members = [
        member
        for name in sorted(wanted)
        for member in context.group(name).consumers
        if member.name.endswith(".weight") and is_visible(context.model, member.layer)
    ]
    gradients = input_gate_gradients(
        context.model,
        batches,
        layers=list(dict.fromkeys(member.layer for member in members)),
        seed=plan.subject.seed,
    )
    entries = tuple(
        _searched_entry(context, entry, gradients) if entry.group in wanted else entry
        for entry in plan.entries
    )
    return replace(plan, entries=entries)


def _searched_entry(
    context: SubjectContext, entry: PlanEntry, gradients: Mapping[str, Tensor]
) -> PlanEntry:
    assert entry.group is not None
    group = context.group(entry.group)
    found = [
        unit_gate_gradients(gradients[member.layer], member.index, group.units)
        for member in group.consumers
        if member.layer in gradients
    ]
    if not found:
        raise InputError(f"group {group.id}: no layer that reads its channels can be watched")
    mask = search_mask(torch.stack(found).sum(0), entry.kept)
    indices = tuple(torch.nonzero(mask).flatten().tolist())
    return replace(entry, indices=indices, criterion="fisher")


def tuned_edit(
    student: Student,
    teacher: nn.Module,
    group: Group,
    mask: Tensor,
    *,
    edit: Mapping[str, Tensor],
    batches: Batches,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Tensor]:
    """Return the consumers' weights with a factor for each kept unit that comes closest to dense.

    Args:
        student: The model that is repaired.
        teacher: The dense model.
        group: A group that is pruned.
        mask: Boolean ``(units,)``, True = keep.
        edit: Tensors of the pruned model, as the student has them.
        batches: Calibration batches.
        progress: Called with the number of batches done.
    """
    members = {
        member.layer: member
        for member in group.consumers
        if member.name.endswith(".weight") and is_visible(teacher, member.layer)
    }
    moments = capture_moments(
        student.model,
        batches,
        layers=list(members),
        edit=edit,
        teacher=teacher if student.is_smaller else None,
        rows=student.rows,
        progress=progress,
    )
    state = student.state
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
        factors = torch.where(index[layer] >= 0, scales[index[layer].clamp_min(0)], 1.0)
        weight = edit.get(member.name, state[member.name])
        shape = [1] * weight.dim()
        shape[member.dim] = -1
        new[member.name] = weight * factors.reshape(shape).to(weight.dtype)
    return new


def _unit_of_inputs(module: nn.Module, index: Tensor) -> Tensor:
    """Return the unit of each weight of one output, ``(G, D)``, from the consumer's index."""
    groups = conv_groups(module)
    if isinstance(module, TRANSPOSED_TYPES):
        rows = index.reshape(groups, -1)
    else:
        rows = index[None].expand(groups, -1)
    kernel = getattr(module, "kernel_size", ())
    positions = 1
    for size in kernel:
        positions *= size
    return rows.repeat_interleave(positions, 1)
