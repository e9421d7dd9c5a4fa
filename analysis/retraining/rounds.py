"""One training of a plan: in one go, or in rounds of pruning and training."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from analysis import edits, plans, recovery
from analysis.edits import PreparedSubject
from analysis.measuring import Cancel
from analysis.records import Plan, Recipe
from analysis.recovery import Recovery
from analysis.recovery.training import (
    Meeting,
    TrainingRecipe,
    TrainingUpdate,
    iter_training,
    open_training_data,
)
from analysis.sentences import plural
from analysis.subjects.data import Split
from pruners.errors import CancelledError, InputError
from pruners.groups import apply_edit


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What is trained, with one seed.

    Attributes:
        plan: A resolved plan.
        recipe: How, in each round.
        seed: Of all that is drawn.
        rounds: How many rounds there are.
        folder: Where its checkpoints are; None keeps none.
        roots: Folders below which files may lie; None allows everything.
        apart: Samples that the trained model is judged on, beside those that are evaluated.
        meeting: Other machines that share each batch; None for this one alone.
    """

    plan: Plan
    recipe: TrainingRecipe
    seed: int = 0
    rounds: int = 1
    folder: Path | None = None
    roots: tuple[Path, ...] | None = None
    apart: Split | None = None
    meeting: Meeting | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoundUpdate:
    """Where a training in rounds is.

    Attributes:
        round: The round, counted from 1.
        training: Where its training is.
        epochs: Seen in all rounds so far.
        seconds: Trained in all rounds so far.
        plan: At the end: the plan with its trained weights, kept in the workspace; else None.
    """

    round: int
    training: TrainingUpdate
    epochs: float
    seconds: float
    plan: Plan | None = None


def iter_rounds(
    prepared: PreparedSubject, asked: Training, *, cancel: Cancel = lambda: False
) -> Iterator[RoundUpdate]:
    """Train a plan and keep what it learned; what was trained before is not trained again.

    Args:
        prepared: The subject, with the cache folder of a workspace.
        asked: What is trained.
        cancel: Asked before each step; the checkpoint is kept.

    Raises:
        CancelledError: It was stopped.
        PruneScopeError: As `iter_training`; or a plan of several rounds prunes something else than
            channels and heads.
    """
    last: Recovery | None = None
    plan, epochs, seconds = asked.plan, 0.0, 0.0
    for number in range(1, asked.rounds + 1):
        if asked.rounds > 1:
            plan = _pruned_further(prepared, asked, last, done=number - 1)
        start = last if last is not None else recovery.repaired_plan(prepared, plan)
        folder = asked.folder
        if folder is not None and asked.rounds > 1:
            folder = folder / f"round-{number}"
        update: TrainingUpdate | None = None
        for update in iter_training(
            prepared,
            plan,
            asked.recipe,
            seed=asked.seed,
            folder=folder,
            start=start,
            cancel=cancel,
            roots=asked.roots,
            apart=asked.apart,
            meeting=asked.meeting,
        ):
            told = RoundUpdate(
                round=number,
                training=update,
                epochs=epochs + update.epoch,
                seconds=seconds + update.seconds,
            )
            if not update.is_done:
                yield told
        last = _learned(update)
        epochs, seconds = told.epochs, told.seconds
        if number < asked.rounds:
            yield told
    assert last is not None
    done = dataclasses.replace(last, plan=_told_rounds(last.plan, asked.rounds))
    kept = recovery.keep_trained(
        prepared,
        done,
        _words(asked, epochs, keeps_start=told.training.keeps_start),
        recipe=asked.recipe,
        seen=_seen(prepared, asked),
    )
    yield dataclasses.replace(told, plan=kept)


def _learned(update: TrainingUpdate | None) -> Recovery:
    if update is None or not update.is_done or update.recovery is None:
        if update is None or not update.step:
            raise CancelledError("stopped before the first step")
        raise CancelledError(
            f"stopped at step {update.step:,} of {update.steps:,}; the checkpoint is kept"
        )
    return update.recovery


def _pruned_further(
    prepared: PreparedSubject, asked: Training, last: Recovery | None, *, done: int
) -> Plan:
    """Return what a round prunes: units that count least in what was trained so far."""
    if asked.plan.training is not None:
        raise InputError(
            "the plan was trained already with all of its units gone; rounds start from a plan "
            "that was not trained"
        )
    scored = prepared if last is None else _as_trained(prepared, last)
    before = None if last is None else last.plan
    return plans.next_round(scored, asked.plan, before, rounds=asked.rounds, done=done)


def _as_trained(prepared: PreparedSubject, found: Recovery) -> PreparedSubject:
    """Return the subject with trained weights in the dense shapes."""
    with torch.inference_mode(mode=False):
        model = copy.deepcopy(prepared.model)
        apply_edit(model, dict(found.edit.tensors))
    return edits.prepare(dataclasses.replace(prepared.subject, model=model))


def _seen(prepared: PreparedSubject, asked: Training) -> bytes:
    """Return digests of all samples that were learned from, also in trainings before."""
    before = recovery.seen_samples(prepared, asked.plan)
    if asked.recipe.user_loop is not None:
        # Nobody knows what it read.
        return before
    data = open_training_data(
        prepared, asked.recipe, seed=asked.seed, roots=asked.roots, apart=asked.apart
    )
    return before + data.seen


def _told_rounds(plan: Plan, rounds: int) -> Plan:
    if rounds == 1:
        return plan
    recipe = dataclasses.replace(plan.recipe or Recipe(), rounds=rounds)
    return dataclasses.replace(plan, recipe=recipe)


def _words(asked: Training, epochs: float, *, keeps_start: bool) -> str:
    """Return how a plan was trained, for a person."""
    recipe = asked.recipe
    count = round(epochs, 2)
    seen = plural(int(count), "epoch") if count == int(count) else f"{count:g} epochs"
    parts = [recipe.method, seen]
    if recipe.distill:
        parts.append("distilled")
    if asked.rounds > 1:
        parts.append(plural(asked.rounds, "round"))
    if keeps_start:
        parts.append("epoch 0 was best")
    words = ", ".join(parts)
    return f"{asked.plan.trained}, then {words}" if asked.plan.trained else words
