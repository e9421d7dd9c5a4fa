"""Plans applied to a subject: kept indices, the masked model, the physically smaller model."""

from __future__ import annotations

import dataclasses
from collections import ChainMap
from collections.abc import Callable, Mapping
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn

from analysis import edits
from analysis.edits import (
    Edit,
    PreparedSubject,
    Target,
    edit_for,
    kept_units,
    scores,
    target_named,
)
from analysis.plans.built_edits import BuiltEdits
from analysis.plans.checks import check, check_fits
from analysis.plans.editing import new_plan
from analysis.plans.entries import find, kept_counts, pruned_entries
from analysis.records import Plan, PlanEntry
from pruners import selection
from pruners.errors import PlanError
from pruners.granularity import parse


def start_plan(
    prepared: PreparedSubject,
    *,
    criterion: str,
    granularity: str = "channel",
    layers: str = "*",
    run: str | None = None,
    semantics: str = "removal",
    reduction: str = "mean",
) -> Plan:
    """Return a plan that removes nothing yet, with an entry for each prunable target.

    Args:
        prepared: The subject.
        criterion: Criterion of each entry.
        granularity: As in a sweep.
        layers: Glob over layer names.
        run: The run whose points it will be chosen from.
        semantics: ``removal`` or ``weights``.
        reduction: How member layers' scores join in a coupled group.
    """
    prunable = [item for item in edits.targets(prepared, granularity, layers) if item.prunable]
    return new_plan(
        prepared.subject.spec,
        fingerprint=prepared.subject.fingerprint,
        units=[(item.layer, item.group, item.total) for item in prunable],
        criterion=criterion,
        granularity=granularity,
        run=run,
        semantics=semantics,
        reduction=reduction,
    )


def left_out(prepared: PreparedSubject, granularity: str) -> dict[str, str]:
    """Return the reason by group of what could be removed, but is scored by no criterion."""
    if prepared.structure is None:
        return {}
    return {
        group.id: group.unscored
        for group in prepared.structure.groups
        if group.kind == granularity and group.prunable and group.unscored
    }


def group_of(prepared: PreparedSubject) -> Callable[[str], str | None]:
    """Return a function from a layer's name to the id of the group that its channels are in."""
    structure = prepared.require_structure()

    def find_group(layer: str) -> str | None:
        for group in structure.groups:
            if layer == group.id or layer in {member.layer for member in group.producers}:
                return str(group.id)
        return None

    return find_group


def require_fit(prepared: PreparedSubject, plan: Plan) -> Plan:
    """Check that a plan belongs to the subject at hand; return it.

    Raises:
        UnknownNameError: There is no criterion of an entry's name.
        PlanError: Other weights, or groups that this model does not have or that differ.
    """
    known = {
        (granularity, target.name): target
        for granularity in {entry.granularity for entry in plan.entries}
        for target in edits.targets(prepared, granularity)
    }
    totals = {key: target.total for key, target in known.items()}
    layers = {target.layer for target in known.values()}
    layers.update(name for name, _ in prepared.model.named_modules())
    find_group = (lambda layer: None) if prepared.structure is None else group_of(prepared)
    return check_fits(
        plan,
        fingerprint=prepared.subject.fingerprint,
        totals=totals,
        layers=layers,
        group_of=find_group,
    )


def resolve(prepared: PreparedSubject, plan: Plan) -> Plan:
    """Fill in the kept indices of channels and heads, and the exact counts of N:M patterns.

    Raises:
        PlanError: The plan contradicts itself, or does not fit the model.
    """
    check(plan)
    entries = tuple(_resolved(prepared, entry, plan.reduction) for entry in plan.entries)
    return dataclasses.replace(plan, entries=entries)


def _resolved(prepared: PreparedSubject, entry: PlanEntry, reduction: str) -> PlanEntry:
    granularity = parse(entry.granularity)
    if granularity.kind == "n:m" and entry.kept < entry.total:
        target = Target(entry.layer, entry.group, entry.total, entry.granularity)
        return dataclasses.replace(entry, kept=edits.kept_at(prepared, target, entry.ratio))
    if not granularity.is_structured or entry.indices is not None or entry.kept == entry.total:
        return entry
    if not entry.kept:
        # Of one unit none stays, whatever its score.
        return dataclasses.replace(entry, indices=())
    _, mask = mask_of_entry(prepared, entry, reduction=reduction)
    return dataclasses.replace(entry, indices=selection.kept_indices(mask))


def kept_indices(prepared: PreparedSubject, plan: Plan) -> dict[str, tuple[int, ...]]:
    """Return {group id: kept units} of what a plan removes physically."""
    counts = kept_counts(plan)
    return {
        entry.name: entry.indices
        for entry in resolve(prepared, plan).entries
        if entry.indices is not None and entry.name in counts
    }


def masked_edit(prepared: PreparedSubject, plan: Plan) -> Edit:
    """Return the plan as an edit for the evaluator; see `analysis.plans.apply.plan_edit`.

    Raises:
        PlanError: The plan does not fit the model.
    """
    return plan_edit(prepared, resolve(prepared, plan))


def removed_model(prepared: PreparedSubject, plan: Plan) -> nn.Module:
    """Return the physically smaller model; the subject's model stays as it is.

    Channels and heads are cut out; weights that element-like entries remove are zero.

    Raises:
        PlanError: The plan does not fit the model.
    """
    resolved = resolve(prepared, plan)
    masked = [
        entry for entry in pruned_entries(resolved) if not parse(entry.granularity).is_structured
    ]
    element_like = dataclasses.replace(resolved, entries=tuple(masked))
    tensors = plan_edit(prepared, element_like).tensors
    return edits.edited_model(prepared, Edit(tensors, kept_indices(prepared, resolved)))


def mask_of_entry(
    prepared: PreparedSubject, entry: PlanEntry, *, reduction: str = "mean"
) -> tuple[Target, Tensor]:
    """Return what a plan's entry is about, and its mask.

    Listed indices are taken as they are; else the mask follows from criterion and kept count.

    Raises:
        PlanError: The entry does not fit the model.
    """
    target = _target_of_entry(prepared, entry)
    if not 0 <= entry.kept <= target.total or entry.total != target.total:
        raise PlanError(
            f"the plan keeps {entry.kept} of {entry.total} at {target.name}, which has "
            f"{target.total} units"
        )
    if entry.indices is None or not (target.group or entry.granularity == "element"):
        values = scores(prepared, target, entry.criterion, reduction=reduction)
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
    if target.group is None:
        mask = mask.reshape(prepared.layer_shape(target.layer))
    return target, mask


def unit_table(prepared: PreparedSubject, plan: Plan, name: str) -> pd.DataFrame:
    """Return the channels or heads of an entry with their scores, the lowest score first.

    Args:
        prepared: The subject.
        plan: The plan.
        name: Of an entry whose units are removed physically.

    Returns:
        Columns ``unit`` (its number), ``score`` and ``kept``.

    Raises:
        PlanError: The entry does not fit the model.
        InputError: The criterion cannot score it.
    """
    entry = find(plan, name)
    target, mask = mask_of_entry(prepared, entry, reduction=plan.reduction)
    values = scores(prepared, target, entry.criterion, reduction=plan.reduction)
    table = pd.DataFrame({"score": values.tolist(), "kept": mask.tolist()})
    # Of equal scores those go first that stand first.
    table = table.rename_axis("unit").reset_index().sort_values("score", kind="stable")
    return table.reset_index(drop=True)


def _target_of_entry(prepared: PreparedSubject, entry: PlanEntry) -> Target:
    target = target_named(prepared, entry.granularity, entry.name)
    if target is None:
        raise PlanError(f"the plan names {entry.name}, which this model does not have")
    if not target.prunable and entry.kept != target.total:
        raise PlanError(f"the plan prunes {target.name}, which is not prunable: {target.reason}")
    return target


def plan_edit(prepared: PreparedSubject, plan: Plan) -> Edit:
    """Return the edit of a whole plan.

    Raises:
        PlanError: The plan does not fit the model.
    """
    built = prepared.once(BuiltEdits, BuiltEdits)
    tensors: dict[str, Tensor] = {}
    kept: dict[str, tuple[int, ...]] = {}
    # Several entries may edit one weight: each starts from what the others left.
    state = ChainMap(tensors, dict(prepared.evaluator.state))
    for entry in pruned_entries(plan):
        how = (plan.semantics, plan.reduction)
        edit = built.edit(entry, how, tensors, partial(_entry_edit, prepared, plan, entry, state))
        tensors.update(edit.tensors)
        kept.update(edit.kept)
    return Edit(tensors, kept)


def _entry_edit(
    prepared: PreparedSubject, plan: Plan, entry: PlanEntry, state: Mapping[str, Tensor]
) -> Edit:
    target, mask = mask_of_entry(prepared, entry, reduction=plan.reduction)
    return edit_for(prepared, target, mask, semantics=plan.semantics, state=state)
