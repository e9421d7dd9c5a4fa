"""What a training will take, from timed steps; and its learning rate, from tried ones."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.recovery.training.data import (
    RATE_STEPS,
    TrainingData,
    open_training_data,
    rate_batch,
    session_rate,
)
from analysis.recovery.training.registry import TRAINING_METHODS
from analysis.recovery.training.session import Session, steps_per_epoch
from analysis.recovery.training.trainee import Trainee
from pruners.float32 import float32

if TYPE_CHECKING:
    from analysis.edits import PreparedSubject
    from analysis.records import Plan
    from analysis.recovery.plan_repair import Recovery
    from analysis.recovery.training.recipe import TrainingRecipe

TIMED_STEPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCost:
    """What a training will take.

    Attributes:
        steps: Optimizer steps.
        steps_per_epoch: Steps in which each sample is seen once.
        step_seconds: Seconds of one.
        timed: Steps that were timed.
        notes: What a person should know of the training data.
    """

    steps: int
    steps_per_epoch: int
    step_seconds: float
    timed: int
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Wall time of all steps."""
        return self.steps * self.step_seconds


def training_cost(
    prepared: PreparedSubject,
    plan: Plan,
    recipe: TrainingRecipe,
    *,
    start: Recovery | None = None,
    roots: Sequence[Path] | None = None,
) -> TrainingCost:
    """Time a few steps of a training and say what all of it will take; nothing is kept.

    Args:
        prepared: The subject; its model is left as found.
        plan: What is pruned.
        recipe: How it is trained.
        start: The repaired plan to start from.
        roots: Folders below which files may lie; None allows everything.

    Raises:
        InputError: As `iter_training`.
    """
    data = open_training_data(prepared, recipe, seed=0, roots=roots)
    return cost_of(prepared, opened_trainee(prepared, plan, recipe, start), data, recipe)


def opened_trainee(
    prepared: PreparedSubject, plan: Plan, recipe: TrainingRecipe, start: Recovery | None
) -> Trainee:
    """Return what a recipe trains: smaller where no masks will move.

    Raises:
        UnsupportedError: The method cannot train the plan.
        InputError: As `Trainee`.
    """
    method = TRAINING_METHODS.get(recipe.method)
    method.check(prepared, plan)
    return Trainee(
        prepared,
        plan,
        start=start,
        is_dense_shaped=method.regrows,
        may_be_dense=not method.needs_pruning,
    )


def cost_of(
    prepared: PreparedSubject, trainee: Trainee, data: TrainingData, recipe: TrainingRecipe
) -> TrainingCost:
    """Time a tenth of the steps on a copy, some at least and not too many."""
    sampler = data.sampler(batch_size=recipe.batch_size, seed=0)
    epoch = steps_per_epoch(sampler.batches_per_epoch, recipe)
    steps: int = recipe.steps or max(recipe.least_steps, math.ceil(recipe.epochs * epoch))
    count = TIMED_STEPS if recipe.minutes else min(TIMED_STEPS, max(3, steps // 10))

    def make() -> Session:
        return Session(prepared, trainee.copied(), data, recipe, seed=0, steps=max(steps, count))

    with float32():
        seconds, number = timed(make, count=count)
    if recipe.minutes:
        steps = max(1, int(recipe.minutes * 60 / seconds))
    return TrainingCost(
        steps=steps,
        steps_per_epoch=epoch,
        step_seconds=seconds,
        timed=number,
        notes=data.words,
    )


def tried_rate(
    prepared: PreparedSubject,
    trainee: Trainee,
    data: TrainingData,
    recipe: TrainingRecipe,
    *,
    seed: int,
    cost: TrainingCost,
    cancel: Callable[[], bool],
) -> float:
    """Find the learning rate on copies of the trainee; `cancel` is asked before each step."""
    steps = max(cost.steps, RATE_STEPS)
    recipe = dataclasses.replace(recipe, batch_size=rate_batch(recipe, cost.steps))

    def make() -> Session:
        return Session(prepared, trainee.copied(), data, recipe, seed=seed, steps=steps)

    with float32():
        return session_rate(make, cancel=cancel).rate


def timed(make: Callable[[], Session], *, count: int, limit: float = 10.0) -> tuple[float, int]:
    """Return the seconds of one step, and how many were timed; nothing of them is kept.

    Args:
        make: Makes a training to throw away.
        count: Steps at most; the first is not counted where there are more.
        limit: No further step begins after so many seconds.
    """
    session, seconds = make(), list[float]()
    with session.generators.in_use():
        for step in range(count):
            start = time.perf_counter()
            session.step(step, 0.0)
            float(session.seen[0])  # waits for the device
            seconds.append(time.perf_counter() - start)
            if sum(seconds) > limit:
                break
    return statistics.fmean(seconds[1:] or seconds), len(seconds)
