"""Iterative one-shot pruning of a plan: remove a part, score what is left anew, go on."""

from __future__ import annotations

import copy
import dataclasses
from collections import ChainMap
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from analysis.edits import PreparedSubject, Target, edit_for, model_scores, targets
from analysis.records import OnProgress, Plan, PlanEntry, Progress, Recipe
from analysis.repairs import calibration_batches
from pruners import schedules
from pruners.criteria import CRITERIA
from pruners.errors import UnsupportedError
from pruners.granularity import parse
from pruners.groups import apply_edit
from pruners.selection import keep_mask, kept_indices, num_kept
from pruners.statistics import Statistics, collect


def rescored_plan(
    prepared: PreparedSubject,
    plan: Plan,
    *,
    rounds: int,
    schedule: str = "iterative",
    progress: OnProgress | None = None,
) -> Plan:
    """Return the plan with units chosen in rounds; the kept counts stay as they are.

    Each round removes a part of every entry's units by the schedule, then all criteria see the
    model without them: weights that read removed channels no longer count, and statistics come
    from the pruned model. What is removed stays removed. Locked entries keep their units. Groups
    that a norm mixes are not removed between rounds; see `kept_whole`.

    Args:
        prepared: The subject; its model is left as found.
        plan: Entries of channels or heads.
        rounds: Number of rounds, at least 1; one is one-shot.
        schedule: How the ratio grows, one of `pruners.schedules`.
        progress: Told after each round.

    Raises:
        UnsupportedError: An entry is neither channels nor heads: a plan cannot list other masks.
        InputError: No rounds, or the criteria need data that the subject has not.
    """
    free = [entry for entry in plan.entries if not entry.locked and entry.kept < entry.total]
    for entry in free:
        if not parse(entry.granularity).is_structured:
            raise UnsupportedError(
                f"rounds choose channels and heads; {entry.layer} has {entry.granularity}"
            )
    found = {
        target.name: target
        for granularity in {entry.granularity for entry in free}
        for target in targets(prepared, granularity)
    }
    masks = {str(entry.group): torch.ones(entry.total, dtype=torch.bool) for entry in free}
    for done in range(rounds):
        found_scores = _scores(prepared, plan, free, found, masks)
        for entry in free:
            name = str(entry.group)
            kept = _kept(entry, schedule, rounds, done)
            removed = ~masks[name]
            masks[name] = keep_mask(found_scores[name].cpu().masked_fill(removed, -torch.inf), kept)
        if progress is not None:
            progress(Progress(done + 1, rounds, "rounds"))
    entries = tuple(
        dataclasses.replace(entry, indices=kept_indices(masks[str(entry.group)]))
        if entry in free
        else entry
        for entry in plan.entries
    )
    recipe = dataclasses.replace(plan.recipe or Recipe(), rounds=rounds)
    return dataclasses.replace(plan, entries=entries, recipe=recipe)


def kept_whole(prepared: PreparedSubject, plan: Plan) -> tuple[str, ...]:
    """Return the layers of pruned entries that rounds cannot remove a part of.

    Where a norm mixes channels, only physical removal says what the model without some of them
    computes; zeroed columns do not. Such groups are chosen by the scores of what the other groups
    left.
    """
    if plan.semantics != "removal":
        return ()
    return tuple(
        entry.layer
        for entry in plan.entries
        if not entry.locked and entry.kept < entry.total
        if entry.group is not None and not prepared.group(entry.group).exact
    )


def _kept(entry: PlanEntry, schedule: str, rounds: int, done: int) -> int:
    """Return an entry's kept count after a round; after the last it is the plan's own."""
    ratio = (entry.total - entry.kept) / entry.total
    ratios = schedules.round_ratios(schedule, rounds, final=ratio)
    if done == rounds - 1:
        return entry.kept
    return max(num_kept(ratios[done], entry.total, keep_one=True), entry.kept)


def _scores(
    prepared: PreparedSubject,
    plan: Plan,
    entries: list[PlanEntry],
    found: Mapping[str, Target],
    masks: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Score all entries' groups on a copy of the model without what the masks remove."""
    model = _pruned_copy(prepared, found, masks, semantics=plan.semantics)
    needs = frozenset().union(*(CRITERIA.get(entry.criterion).needs for entry in entries))
    statistics: Statistics | None = None
    if needs - {"seed"}:
        statistics = collect(
            model,
            calibration_batches(prepared),
            layers=prepared.layers(),
            needs=needs - {"seed"},
            seed=plan.subject.seed,
        )
    return {
        str(entry.group): model_scores(
            prepared,
            model,
            found[str(entry.group)],
            entry.criterion,
            statistics=statistics,
            seed=plan.subject.seed,
            reduction=plan.reduction,
        )
        for entry in entries
    }


def _pruned_copy(
    prepared: PreparedSubject,
    found: Mapping[str, Target],
    masks: Mapping[str, Tensor],
    *,
    semantics: str,
) -> nn.Module:
    tensors: dict[str, Tensor] = {}
    for name, mask in masks.items():
        state = ChainMap(tensors, dict(prepared.evaluator.state))
        # Groups that a norm mixes give no tensors: see `kept_whole`.
        edit = edit_for(prepared, found[name], mask, semantics=semantics, state=state)
        tensors.update(edit.tensors)
    model = copy.deepcopy(prepared.model)
    apply_edit(model, tensors)
    return model
