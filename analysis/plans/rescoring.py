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
    free = _free(plan)
    found = _targets(prepared, free)
    masks = {str(entry.group): torch.ones(entry.total, dtype=torch.bool) for entry in free}
    for done in range(rounds):
        kept = {str(entry.group): _kept(entry, schedule, rounds, done) for entry in free}
        _remove(prepared, plan, free, found, masks, kept)
        if progress is not None:
            progress(Progress(done + 1, rounds, "rounds"))
    recipe = dataclasses.replace(plan.recipe or Recipe(), rounds=rounds)
    return dataclasses.replace(_with_masks(plan, free, masks), recipe=recipe)


def next_round(
    prepared: PreparedSubject,
    plan: Plan,
    before: Plan | None,
    *,
    rounds: int,
    done: int,
    schedule: str = "iterative",
) -> Plan:
    """Return what one of several rounds prunes, between which the model changes.

    Args:
        prepared: The subject, its model as the last round left it.
        plan: What all rounds together prune: entries of channels or heads. Locked ones keep their
            units and are pruned in the first round.
        before: What the last round left; None before the first.
        rounds: How many rounds there are.
        done: How many were done.
        schedule: How the ratio grows, one of `pruners.schedules`.

    Raises:
        UnsupportedError: An entry is neither channels nor heads: a plan cannot list other masks.
        InputError: No rounds, or the criteria need data that the subject has not.
    """
    free = _free(plan)
    known = {} if before is None else {entry.name: entry.indices for entry in before.entries}
    masks = {str(entry.group): _mask(entry, known.get(entry.name)) for entry in free}
    kept = {str(entry.group): _kept(entry, schedule, rounds, done) for entry in free}
    _remove(prepared, plan, free, _targets(prepared, free), masks, kept)
    return _with_masks(plan, free, masks)


def _mask(entry: PlanEntry, indices: tuple[int, ...] | None) -> Tensor:
    """Return what an entry has left, True = keep."""
    mask = torch.ones(entry.total, dtype=torch.bool)
    if indices is not None:
        mask[:] = False
        mask[list(indices)] = True
    return mask


def _free(plan: Plan) -> list[PlanEntry]:
    """Return the entries whose units rounds choose."""
    free = [entry for entry in plan.entries if not entry.locked and entry.kept < entry.total]
    for entry in free:
        granularity = parse(entry.granularity)
        if not granularity.is_structured or granularity.is_whole:
            raise UnsupportedError(
                f"rounds choose channels and heads; {entry.layer} has {entry.granularity}"
            )
    return free


def _targets(prepared: PreparedSubject, free: list[PlanEntry]) -> dict[str, Target]:
    return {
        target.name: target
        for granularity in {entry.granularity for entry in free}
        for target in targets(prepared, granularity)
    }


def _remove(
    prepared: PreparedSubject,
    plan: Plan,
    free: list[PlanEntry],
    found: Mapping[str, Target],
    masks: dict[str, Tensor],
    kept: Mapping[str, int],
) -> None:
    """Score what the masks leave, and leave the best of it."""
    found_scores = _scores(prepared, plan, free, found, masks)
    for name, count in kept.items():
        present = found_scores[name].cpu().masked_fill(~masks[name], -torch.inf)
        masks[name] = keep_mask(present, count)


def _with_masks(plan: Plan, free: list[PlanEntry], masks: Mapping[str, Tensor]) -> Plan:
    entries = []
    for entry in plan.entries:
        if entry in free:
            mask = masks[str(entry.group)]
            entry = dataclasses.replace(entry, kept=int(mask.sum()), indices=kept_indices(mask))
        entries.append(entry)
    return dataclasses.replace(plan, entries=tuple(entries))


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
