"""Plans applied to a subject: kept indices, the masked model, the physically smaller model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch import nn

from analysis import edits, runner
from analysis.allocation.budget import Meter
from analysis.context import SubjectContext
from analysis.edits import Edit, Target
from analysis.plan import check, check_fits, kept_counts, key_of, new_plan, pruned_entries
from analysis.records import Plan, PlanEntry
from pruners.granularity import parse
from pruners.layers import find_layer


def start_plan(
    context: SubjectContext,
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
        context: The subject.
        criterion: Criterion of each entry.
        granularity: As in a sweep.
        layers: Glob over layer names.
        run: The run whose points it will be chosen from.
        semantics: ``removal`` or ``weights``.
        reduction: How member layers' scores join in a coupled group.
    """
    prunable = [item for item in edits.targets(context, granularity, layers) if item.prunable]
    return new_plan(
        context.subject.spec,
        fingerprint=context.subject.fingerprint,
        units=[(item.layer, item.group, item.total) for item in prunable],
        criterion=criterion,
        granularity=granularity,
        run=run,
        semantics=semantics,
        reduction=reduction,
    )


def not_prunable(context: SubjectContext, granularity: str) -> dict[str, str]:
    """Return the reason by layer of what cannot be pruned at a granularity."""
    return {
        item.layer: item.reason for item in edits.targets(context, granularity) if not item.prunable
    }


def group_of(context: SubjectContext) -> Callable[[str], str | None]:
    """Return a function from a layer's name to the id of the group that its channels are in."""
    structure = context.require_structure()

    def find_group(layer: str) -> str | None:
        for group in structure.groups:
            if layer == group.id or layer in {member.layer for member in group.producers}:
                return str(group.id)
        return None

    return find_group


def require_fit(context: SubjectContext, plan: Plan) -> Plan:
    """Check that a plan belongs to the subject at hand; return it.

    Raises:
        PlanError: Other weights, or groups that this model does not have or that differ.
    """
    totals = {
        (granularity, target.name): target.total
        for granularity in {entry.granularity for entry in plan.entries}
        for target in edits.targets(context, granularity)
    }
    find_group = (lambda layer: None) if context.structure is None else group_of(context)
    return check_fits(
        plan, fingerprint=context.subject.fingerprint, totals=totals, group_of=find_group
    )


def resolve(context: SubjectContext, plan: Plan) -> Plan:
    """Fill in the kept indices of channels and heads, and the exact counts of N:M patterns.

    Raises:
        PlanError: The plan contradicts itself, or does not fit the model.
    """
    check(plan)
    entries = tuple(_resolved(context, entry, plan.reduction) for entry in plan.entries)
    return dataclasses.replace(plan, entries=entries)


def _resolved(context: SubjectContext, entry: PlanEntry, reduction: str) -> PlanEntry:
    granularity = parse(entry.granularity)
    if granularity.kind == "n:m" and entry.kept < entry.total:
        target = Target(entry.layer, entry.group, entry.total, entry.granularity)
        return dataclasses.replace(entry, kept=edits.kept_at(context, target, entry.ratio))
    if not granularity.is_structured or entry.indices is not None or entry.kept == entry.total:
        return entry
    _, mask = edits.mask_of_entry(context, entry, reduction=reduction)
    indices = tuple(int(unit) for unit in torch.nonzero(mask).flatten().tolist())
    return dataclasses.replace(entry, indices=indices)


def kept_indices(context: SubjectContext, plan: Plan) -> dict[str, tuple[int, ...]]:
    """Return {group id: kept units} of what a plan removes physically."""
    counts = kept_counts(plan)
    return {
        key_of(entry): entry.indices
        for entry in resolve(context, plan).entries
        if entry.indices is not None and key_of(entry) in counts
    }


def masked_edit(context: SubjectContext, plan: Plan) -> Edit:
    """Return the plan as an edit for the evaluator; see `analysis.edits.plan_edit`.

    Raises:
        PlanError: The plan does not fit the model.
    """
    return edits.plan_edit(context, resolve(context, plan))


def removed_model(context: SubjectContext, plan: Plan) -> nn.Module:
    """Return the physically smaller model; the subject's model stays as it is.

    Channels and heads are cut out; weights that element-like entries remove are zero.

    Raises:
        PlanError: The plan does not fit the model.
    """
    resolved = resolve(context, plan)
    masked = [
        entry for entry in pruned_entries(resolved) if not parse(entry.granularity).is_structured
    ]
    element_like = dataclasses.replace(resolved, entries=tuple(masked))
    tensors = edits.plan_edit(context, element_like).tensors
    return runner.removed_model(context, Edit(tensors, kept_indices(context, resolved)))


def meter(context: SubjectContext) -> Meter:
    """Return what measures the size of plans of a subject."""
    weights = {
        name: sum(
            item.numel()
            for part, item in find_layer(context.model, name).named_parameters(recurse=False)
            if part in ("weight", "in_proj_weight")
        )
        for name in context.layers()
    }

    def predict(kept: Mapping[str, int]) -> tuple[int, int]:
        found = context.cost.predict(kept)
        return found.params, found.macs

    return Meter(predict, weights)
