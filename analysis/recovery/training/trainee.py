"""What is trained: a model of one's own, smaller where that can be trained, else with masks.

The subject's model is never touched. What is learned is written back to the dense shapes, so that
a trained plan is evaluated, exported and reported as a repaired one.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from analysis.edits import Edit, PreparedSubject, Target
from analysis.plans import mask_of_entry, plan_edit, require_fit, resolve
from analysis.records import Plan, PlanEntry
from analysis.recovery.plan_repair import Recovery, elements_left
from analysis.repairs import Student, open_student
from pruners.capture import first_names, named_state
from pruners.errors import InputError, UnsupportedError, one_line
from pruners.granularity import parse
from pruners.groups import Group, edits
from pruners.layers import find_layer, to_native, weight_name
from pruners.preserve import preserved
from pruners.selection import in_units, kept_indices
from pruners.semantics import SEMANTICS
from pruners.user_code import no_exit

# Dims of a 2-d convolution's weight.
IMAGES = 4
# Roles of a group's members that the mask of a unit acts on.
_READERS = frozenset({"consumer"})
_MAKERS = frozenset({"producer", "bias"})
_ROLES = _READERS | _MAKERS | {"norm", "depthwise", "parameter"}


class Trainee:
    """A model in training and what must stay zero in it.

    Args:
        prepared: The subject; its model is left as found.
        plan: A resolved plan.
        start: The plan repaired; training starts from its weights. None starts from the dense
            ones.
        is_dense_shaped: Do not remove anything physically while training, as masks will move.
        may_be_dense: The plan may prune nothing.

    Attributes:
        plan: The plan, resolved.
        model: In train mode, all parameters with gradients.
        targets: What the plan prunes.
        is_smaller: Whether units are removed physically.
        masks: The present mask of each target by `key`, True = keep: ``(units,)``, or the weight's
            output-first shape.
        parameter_masks: Parameter name -> which elements stay, of the model's own shapes.
    """

    def __init__(
        self,
        prepared: PreparedSubject,
        plan: Plan,
        *,
        start: Recovery | None = None,
        is_dense_shaped: bool = False,
        may_be_dense: bool = False,
    ) -> None:
        self.plan = resolve(prepared, require_fit(prepared, plan))
        self._prepared = prepared
        pruned = [
            mask_of_entry(prepared, entry, reduction=plan.reduction)
            for entry in self.plan.entries
            if entry.kept < entry.total
        ]
        if start is not None:
            tensors = start.edit.tensors
            pruned = [(item, elements_left(prepared, item, mask, tensors)) for item, mask in pruned]
        if not pruned and not may_be_dense:
            raise InputError("the plan prunes nothing, so there is nothing to recover")
        self.targets: tuple[Target, ...] = tuple(target for target, _ in pruned)
        self._removes = SEMANTICS.get(plan.semantics).removes
        kept = {
            target.group: kept_indices(mask)
            for target, mask in pruned
            if target.group is not None and self._removes and not is_dense_shaped
            # A branch whose end is zero gives nothing and learns nothing.
            if not _is_masked_whole(prepared, target)
        }
        self._student, self.model = _opened(prepared, kept, start)
        self.is_smaller = self._student.is_smaller
        if kept and not self.is_smaller:
            _check_exact(prepared, kept)
        self.masks: dict[str, Tensor] = {}
        self.parameter_masks: dict[str, Tensor] = {}
        self._parts: dict[str, dict[str, Tensor]] = {}
        self._lost: list[tuple[nn.Parameter, Tensor]] = []
        self._state: dict[str, Tensor] | None = None
        self._masks_readers = False
        self.set_masks(pruned)
        self.mask_weights()

    @property
    def prepared(self) -> PreparedSubject:
        """The subject."""
        return self._prepared

    @property
    def removes(self) -> bool:
        """Whether units of groups are removed in the end; else the rows that make them are zero."""
        return self._removes

    def open(self) -> None:
        """Begin anew with the dense model and nothing masked.

        From now on masks of units act on what reads the units alone, so that what makes them keeps
        its weights: a unit that is zero on both sides would have no gradient, and never return.
        """
        self._masks_readers = True
        opened = [(item, torch.ones_like(self.masks[self.key(item)])) for item in self.targets]
        self.set_masks(opened)
        self.load({})

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Begin anew with other weights than the dense ones, of the dense shapes."""
        state = named_state(self.model)
        whole = {**self._prepared.evaluator.state, **tensors}
        for name, item in self._student.small(whole).items():
            state[name].copy_(item)
        self.mask_weights()

    def mask_parameters(self, masks: Mapping[str, Tensor]) -> None:
        """Mask elements of parameters beside what targets mask, True = keep."""
        self._parts[""] = dict(masks)
        self.set_masks(())

    def lay_out(self) -> None:
        """Keep images in channels-last, in which processors train faster, if the model can."""
        model, example = self.model, self._prepared.subject.example
        if example.device.type != "cpu" or all(item.dim() != IMAGES for item in model.parameters()):
            return
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        try:
            with preserved(model), torch.random.fork_rng(devices=()), torch.no_grad(), no_exit():
                model.train()(example)
        except Exception:
            # `view` reads some shapes from contiguous memory only; all else is told by the loop.
            model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self._state = None

    def key(self, target: Target) -> str:
        """Return what tells a target from the others: its name, if no other target has it."""
        others = (item for item in self.targets if item is not target and item.name == target.name)
        return target.name if target.group or not any(others) else f"{target.name}:elements"

    def set_mask(self, target: Target, mask: Tensor) -> None:
        """Set the mask of one target; see `set_masks`."""
        self.set_masks([(target, mask)])

    def set_masks(self, found: Iterable[tuple[Target, Tensor]]) -> None:
        """Set the masks of targets; weights change at the next `mask_weights`.

        Args:
            found: Targets with masks, True = keep: ``(units,)`` of a group, which then acts on the
                columns that read the units, the rows that make them, and their biases and norms;
                or the weight's output-first shape.
        """
        for target, mask in found:
            self.masks[self.key(target)] = mask
            device = self._prepared.subject.example.device
            whole = self._masks_of(target, mask)
            placed = {name: item.to(device) for name, item in whole.items()}
            self._parts[self.key(target)] = self._student.small(placed)
        self._join_masks()

    def _join_masks(self) -> None:
        """Bring the masks of all targets together: several may be about one parameter."""
        parameters = dict(self.model.named_parameters())
        # Layers may share a weight.
        first = first_names(self.model)
        self.parameter_masks = {}
        for part in self._parts.values():
            for name, mask in ((first[own], mask) for own, mask in part.items()):
                before = self.parameter_masks.get(name)
                self.parameter_masks[name] = mask if before is None else before & mask
        self._lost = [(parameters[name], ~mask) for name, mask in self.parameter_masks.items()]

    def _masks_of(self, target: Target, mask: Tensor) -> dict[str, Tensor]:
        """Return which elements of the dense parameters a target's mask leaves."""
        model = self._prepared.model
        if target.group is None:
            module = find_layer(model, target.layer)
            name = weight_name(module, name=target.layer)
            return {f"{target.layer}.{name}" if target.layer else name: to_native(mask, module)}
        group = self._prepared.group(target.group)
        if self._removes and self.is_smaller and not group.branches:
            return {}
        roles = _ROLES if self._removes or group.branches else _MAKERS
        if self._masks_readers and self._removes:
            roles = _READERS
        return _unit_masks(group, mask, dict(model.named_parameters()), roles)

    def mask_gradients(self) -> None:
        """Set the gradients of masked elements to 0."""
        for parameter, lost in self._lost:
            if parameter.grad is not None:
                parameter.grad.masked_fill_(lost, 0)

    @torch.no_grad()
    def mask_weights(self) -> None:
        """Set masked elements to 0, without a sign."""
        for parameter, lost in self._lost:
            parameter.masked_fill_(lost, 0)

    def state(self) -> dict[str, Tensor]:
        """Return all parameters and buffers by their first names."""
        if self._state is None:
            names = set(first_names(self.model).values())
            state = named_state(self.model)
            self._state = {name: item for name, item in state.items() if name in names}
        return self._state

    def tensors(self) -> dict[str, Tensor]:
        """Return those of `state` that hold real numbers."""
        return {name: item for name, item in self.state().items() if item.is_floating_point()}

    def copied(self) -> Trainee:
        """Return another trainee with the same weights and masks."""
        other = copy.copy(self)
        other.model, other._state = copy.deepcopy(self.model), None
        other.masks, other._parts = dict(self.masks), dict(self._parts)
        other._join_masks()
        return other

    @torch.no_grad()
    def smaller(self) -> Trainee | None:
        """Return a trainee of the same weights and masks with masked units removed.

        None where nothing is removed, or where removal would rewrite the model.
        """
        plan = self._plan_of_masks()
        other = Trainee(self._prepared, plan)
        if not other.is_smaller:
            return None
        other._parts |= {key: other.small(part) for key, part in self._parts.items() if not key}
        masks = {other.key(target): self.masks[self.key(target)] for target in self.targets}
        other.set_masks([(target, masks[other.key(target)]) for target in other.targets])
        for name, item in other.small(self.state()).items():
            other.state()[name].copy_(item)
        return other

    def small(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what this trainee has of tensors of the dense model's shapes, by name."""
        return self._student.small(tensors)

    def recovery(
        self, method: str, *, tensors: Mapping[str, Tensor] | None = None, seconds: float = 0.0
    ) -> Recovery:
        """Return what was learned so far, as a repaired plan.

        Args:
            method: The training method.
            tensors: Parameters and buffers to take instead of the model's own.
            seconds: Wall time of the training.
        """
        plan = self._plan_of_masks()
        edit = plan_edit(self._prepared, plan)
        dense = self._prepared.evaluator.state
        own = self.tensors() if tensors is None else tensors
        whole = self._student.full(own, {**dense, **edit.tensors})
        changed = {
            name: item.detach().clone(memory_format=torch.contiguous_format)
            for name, item in whole.items()
            if name in dense and not torch.equal(item, dense[name])
        }
        return Recovery(plan, Edit(changed, edit.kept), method=method, seconds=seconds)

    def _plan_of_masks(self) -> Plan:
        """Return the plan with the units that masks leave."""
        found = {(target.granularity, target.name): target for target in self.targets}
        entries = tuple(
            self._entry_of_mask(entry, found[entry.granularity, entry.name])
            if (entry.granularity, entry.name) in found
            else entry
            for entry in self.plan.entries
        )
        return dataclasses.replace(self.plan, entries=entries)

    def _entry_of_mask(self, entry: PlanEntry, target: Target) -> PlanEntry:
        mask = self.masks[self.key(target)]
        if target.group is None:
            # A unit is kept or removed whole.
            units = in_units(parse(target.granularity), mask)
            # Listed weights are listed anew: masks may have moved away from them.
            listed = None if entry.indices is None else kept_indices(mask.flatten())
            return dataclasses.replace(entry, kept=int(units.any(1).sum()), indices=listed)
        indices = kept_indices(mask)
        return dataclasses.replace(entry, kept=len(indices), indices=indices)


def _opened(
    prepared: PreparedSubject, kept: Mapping[str, tuple[int, ...]], start: Recovery | None
) -> tuple[Student, nn.Module]:
    """Return where each tensor of the model is in the dense one, and the model in train mode."""
    student = open_student(prepared, kept)
    tensors = {} if start is None else start.edit.tensors
    with torch.inference_mode(mode=False):
        model = (
            student.model
            if student.is_smaller
            else _copied(prepared.model, prepared.subject.spec.model)
        )
        state = named_state(model)
        with torch.no_grad():
            for name, item in student.small(tensors).items():
                state[name].copy_(item)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    return student, model.train()


def _copied(model: nn.Module, name: str) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except Exception as error:
        # A model may hold anything.
        raise UnsupportedError(
            f"the model {name!r} cannot be copied, so it cannot be trained beside the dense one: "
            f"{one_line(error)}"
        ) from error


def _is_masked_whole(prepared: PreparedSubject, target: Target) -> bool:
    group = prepared.group(str(target.group))
    return bool(group.branches) and group.exact


def _check_exact(prepared: PreparedSubject, kept: Iterable[str]) -> None:
    """Refuse what masked training does not equal.

    Raises:
        UnsupportedError: A norm mixes channels, in a model that removal rewrites: its
            graph would not train as the model does, and with masks the norm would see zeros.
    """
    for group_id in kept:
        group = prepared.group(group_id)
        if not group.exact:
            raise UnsupportedError(
                f"removing channels of {group_id} rewrites the model's graph, which cannot be "
                f"trained, and {group.note or 'a norm mixes them'}, so that masks do not stand for "
                "removal; leave that group out of the plan, or repair it without training"
            )


def _unit_masks(
    group: Group, mask: Tensor, parameters: Mapping[str, Tensor], roles: frozenset[str]
) -> dict[str, Tensor]:
    """Return which elements of parameters stay when units of a group go."""
    masks: dict[str, Tensor] = {}
    removed = ~mask.cpu()
    for member in group.members:
        if member.name not in parameters or member.role not in roles:
            continue
        shape = [1] * parameters[member.name].dim()
        shape[member.dim] = -1
        keep = edits.member_mask(member, removed).reshape(shape)
        before = masks.get(member.name, torch.ones((), dtype=torch.bool))
        masks[member.name] = (before & keep).expand(parameters[member.name].shape).clone()
    return masks
