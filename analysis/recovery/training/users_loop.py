"""A training by a loop of the user's own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from analysis.recovery.training.data import run_user_loop
from analysis.recovery.training.recipe import TrainingRecipe
from analysis.recovery.training.state import Generators
from analysis.recovery.training.trainee import Trainee
from analysis.recovery.training.update import DONE, TrainingUpdate
from pruners.capture import named_state
from pruners.float32 import float32


def users_training(
    trainee: Trainee, recipe: TrainingRecipe, *, seed: int, roots: Sequence[Path] | None
) -> Iterator[TrainingUpdate]:
    """Let a user's loop train; nothing is known of it before it ends."""
    assert recipe.user_loop is not None
    yield TrainingUpdate(step=0, steps=0, epoch=0, rate=0, ratio=1)
    clock, device = time.perf_counter(), next(iter(trainee.state().values())).device
    with float32(), Generators(seed, device).in_use():
        model = run_user_loop(
            recipe.user_loop,
            trainee.copied().model,
            trainee.parameter_masks,
            recipe.epochs,
            roots=roots,
        )
    with torch.no_grad():
        trained = named_state(model)
        for name, item in trainee.state().items():
            item.copy_(trained[name])
    seconds = time.perf_counter() - clock
    yield TrainingUpdate(
        step=0,
        steps=0,
        epoch=recipe.epochs,
        rate=0,
        ratio=1,
        seconds=seconds,
        stage=DONE,
        is_done=True,
        recovery=trainee.recovery(recipe.method, seconds=seconds),
    )
