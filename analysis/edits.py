"""From (criterion, granularity, ratio) to masks, and from masks to edits of a model."""

from __future__ import annotations

import fnmatch
import hashlib
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from analysis.context import SubjectContext, open_context
from analysis.records import Plan, PlanEntry
from pruners import granularity as granularities
from pruners.errors import InputError, PlanError, UnsupportedError
from pruners.layers import find_layer, to_native, weight_name
from pruners.masks import num_kept
from pruners.removal import consumer_edit
from pruners.semantics import check_semantics, weights_edit

__all__ = [
    "Edit",
    "NestedMasks",
    "SubjectContext",
    "Target",
    "digest",
    "edit_for",
    "kept_at",
    "kept_units",
    "mask_of_entry",
    "open_context",
    "plan_edit",
    "scores",
    "targets",
]


@dataclass(frozen=True, slots=True)
class Target:
    """What one pruning decision is about: a group's units, or one layer's weights.

    Attributes:
        layer: Module name; at channel and head granularity the group's first producer.
        group: The group's id; None where the granularity has no groups.
        total: Number of units.
        granularity: As in `SweepSpec`.
        prunable: Whether it can be pruned.
        reason: Why not.
    """

    layer: str
    group: str | None
    total: int
    granularity: str
    prunable: bool = True
    reason: str = ""

    @property
    def name(self) -> str:
        """The group's id where there is one, else the layer's name."""
        return self.layer if self.group is None else self.group


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A change of a model.

    Attributes:
        tensors: Replacing tensors by name.
        kept: Kept units by group id, for what only physical removal evaluates exactly because a
            norm mixes channels between producer and consumer. To be done after ``tensors``.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    kept: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def is_dense(self) -> bool:
        """Whether it changes nothing."""
        return not self.tensors and not self.kept


def targets(
    context: SubjectContext, granularity: str, layers_glob: str = "*"
) -> tuple[Target, ...]:
    """Return what can and cannot be pruned at a granularity, in execution order.

    Args:
        context: The subject.
        granularity: As in `SweepSpec`.
        layers_glob: Glob over layer names and group ids.

    Raises:
        InputError: The glob fits nothing, or the granularity is malformed.
        UnsupportedError: Groups are needed and the model could not be captured.
    """
    parsed = granularities.parse(granularity)
    if parsed.is_structured:
        found = [
            Target(group.layer, group.id, group.units, granularity, group.prunable, group.reason)
            for group in context.require_structure().groups
            if group.kind == parsed.kind
        ]
    else:
        found = [_layer_target(context, name, parsed) for name in context.layers()]
    chosen = tuple(
        item
        for item in found
        if fnmatch.fnmatchcase(item.layer, layers_glob)
        or fnmatch.fnmatchcase(item.name, layers_glob)
    )
    if not chosen and found:
        names = ", ".join(item.layer for item in found[:8]) + (", ..." if len(found) > 8 else "")
        raise InputError(f"no layer fits {layers_glob!r}; layers: {names}")
    if not chosen:
        raise UnsupportedError(f"the model has nothing to prune at granularity {granularity}")
    return chosen


def _layer_target(
    context: SubjectContext, name: str, granularity: granularities.Granularity
) -> Target:
    shape = context.layer_shape(name)
    return Target(name, None, granularities.num_units(granularity, shape), str(granularity))


def kept_at(context: SubjectContext, target: Target, ratio: float) -> int:
    """Return how many units of a target stay at a ratio; N:M has one ratio beside 0."""
    parsed = granularities.parse(target.granularity)
    if parsed.kind == "n:m" and ratio > 0:
        return granularities.num_kept_fixed(parsed, context.layer_shape(target.layer))
    return num_kept(ratio, target.total, keep_one=parsed.keep_one)


def scores(
    context: SubjectContext, target: Target, criterion: str, *, reduction: str = "mean"
) -> Tensor:
    """Return importance scores: ``(units,)`` of a group, or ``(O, I/G, K...)`` of a weight.

    Raises:
        UnsupportedError: The criterion does not apply there.
    """
    if target.group is not None:
        group = context.group(target.group)
        return context.channel_scores(group, criterion, reduction=reduction)
    return context.layer_scores(target.layer, criterion, "element")


@dataclass(frozen=True, slots=True, eq=False)
class NestedMasks:
    """The masks of one target and criterion at several kept counts, in one byte a unit.

    A smaller kept count always keeps a subset, so the position where a unit is first removed says
    all.

    Attributes:
        levels: For each weight or unit, how many of the masks keep it; uint8.
        kept: The kept counts, falling.
    """

    levels: Tensor
    kept: tuple[int, ...]

    @classmethod
    def of(cls, values: Tensor, kept: Sequence[int], *, granularity: str) -> NestedMasks:
        """Rank the scores once and cut at every kept count.

        Args:
            values: Scores as `scores` returns them.
            kept: Distinct kept counts, at most 255.
            granularity: As in `SweepSpec`.
        """
        parsed = granularities.parse(granularity)
        counts = tuple(sorted(set(kept), reverse=True))
        if len(counts) > 255:
            raise InputError(f"at most 255 ratios a curve, found {len(counts)}")
        if parsed.kind == "n:m":
            masks = [granularities.element_mask(parsed, values, kept=item) for item in counts]
            return cls(torch.stack(masks).sum(0).to(torch.uint8), counts)
        pooled = values if parsed.is_structured else granularities.unit_scores(parsed, values)
        total = pooled.numel()
        levels = torch.full((total,), len(counts), dtype=torch.uint8, device=values.device)
        order = torch.argsort(pooled.reshape(-1), stable=True)
        for position in reversed(range(len(counts))):
            levels[order[: total - counts[position]]] = position
        levels = levels.reshape(pooled.shape)
        if parsed.kind == "block":
            levels = granularities.expand(parsed, levels, values.shape)
        return cls(levels, counts)

    def mask(self, kept: int) -> Tensor:
        """Return the mask at one of the kept counts, True = keep."""
        return self.levels > self.kept.index(kept)


def kept_units(values: Tensor, kept: int, *, granularity: str = "channel") -> Tensor:
    """Return the mask (True = keep) of the ``kept`` highest scores, as sweeps use it."""
    return NestedMasks.of(values, [kept], granularity=granularity).mask(kept)


def digest(target: Target, mask: Tensor) -> bytes:
    """Return what identifies a mask of a target: equal masks are measured once."""
    content = hashlib.blake2b(target.name.encode() + b"|", digest_size=16)
    content.update(mask.to("cpu", torch.bool).contiguous().numpy().tobytes())
    return content.digest()


def edit_for(
    context: SubjectContext,
    target: Target,
    mask: Tensor,
    *,
    semantics: str = "removal",
    state: Mapping[str, Tensor] | None = None,
) -> Edit:
    """Return the edit that a mask means.

    Args:
        context: The subject.
        target: What the mask is of.
        mask: True = keep: ``(units,)``, or the weight's output-first shape.
        semantics: ``removal`` or ``weights``; only channels and heads know the difference.
        state: Tensors to start from; the dense model's by default.
    """
    base = context.evaluator.state if state is None else state
    if bool(mask.all()):
        return Edit()
    if target.group is None:
        name = _weight_fqn(context, target.layer)
        return Edit({name: _masked(context, target.layer, base[name], mask)})
    group = context.group(target.group)
    if check_semantics(semantics) == "weights":
        return Edit(weights_edit(group, ~mask, base))
    if not group.exact:
        return Edit(kept={group.id: tuple(torch.nonzero(mask).flatten().tolist())})
    return Edit(consumer_edit(group, ~mask, base))


def _weight_fqn(context: SubjectContext, layer: str) -> str:
    attribute = weight_name(find_layer(context.model, layer), name=layer)
    return f"{layer}.{attribute}" if layer else attribute


def _masked(context: SubjectContext, layer: str, weight: Tensor, mask: Tensor) -> Tensor:
    module = find_layer(context.model, layer)
    native = to_native(mask, module).to(weight.device)
    return torch.where(native, weight, torch.zeros((), dtype=weight.dtype, device=weight.device))


# --- plans -----------------------------------------------------------------------------------


def mask_of_entry(
    context: SubjectContext, entry: PlanEntry, *, reduction: str = "mean"
) -> tuple[Target, Tensor]:
    """Return what a plan's entry is about, and its mask.

    Listed indices are taken as they are; else the mask follows from criterion and kept count.

    Raises:
        PlanError: The entry does not fit the model.
    """
    target = _target_of_entry(context, entry)
    if not 0 <= entry.kept <= target.total or entry.total != target.total:
        raise PlanError(
            f"the plan keeps {entry.kept} of {entry.total} at {target.name}, which has "
            f"{target.total} units"
        )
    if entry.indices is None or target.group is None:
        values = scores(context, target, entry.criterion, reduction=reduction)
        return target, kept_units(values, entry.kept, granularity=entry.granularity)
    indices = torch.tensor(entry.indices, dtype=torch.int64)
    if len(set(entry.indices)) != entry.kept or not all(
        0 <= item < target.total for item in entry.indices
    ):
        raise PlanError(
            f"the plan lists {len(entry.indices)} indices at {target.name}; it needs {entry.kept} "
            f"different ones below {target.total}"
        )
    mask = torch.zeros(target.total, dtype=torch.bool)
    mask[indices] = True
    return target, mask


def _target_of_entry(context: SubjectContext, entry: PlanEntry) -> Target:
    name = entry.layer if entry.group is None else entry.group
    for target in targets(context, entry.granularity):
        if target.name == name:
            if not target.prunable and entry.kept != target.total:
                raise PlanError(f"the plan prunes {name}, which is not prunable: {target.reason}")
            return target
    raise PlanError(f"the plan names {name}, which this model does not have")


def plan_edit(context: SubjectContext, plan: Plan) -> Edit:
    """Return the edit of a whole plan.

    Raises:
        PlanError: The plan does not fit the model.
    """
    tensors: dict[str, Tensor] = {}
    kept: dict[str, tuple[int, ...]] = {}
    for entry in plan.entries:
        if entry.kept == entry.total:
            continue
        target, mask = mask_of_entry(context, entry, reduction=plan.reduction)
        # Several entries may edit one weight: each starts from what the others left.
        state = ChainMap(tensors, dict(context.evaluator.state))
        edit = edit_for(context, target, mask, semantics=plan.semantics, state=state)
        tensors.update(edit.tensors)
        kept.update(edit.kept)
    return Edit(tensors, kept)
