"""Training methods driven by hand: a context without data, and one step after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from analysis.edits import PreparedSubject, prepare, targets
from analysis.plans import start_plan
from analysis.records import Plan, SubjectSpec
from analysis.recovery.training.method import Context, Sparsity
from analysis.recovery.training.recipe import TrainingRecipe
from analysis.recovery.training.registry import TRAINING_METHODS
from analysis.recovery.training.session import training_loss
from analysis.recovery.training.trainee import Trainee
from analysis.subjects import load_subject
from tests.helpers.plans import at_ratio
from tests.helpers.tiny_subject import write_images, write_subject

RATE = 0.1
# Twelve weights, and nothing else to learn.
TWELVE = """
import torch
from torch import nn


def build():
    torch.manual_seed(3)
    layer = nn.Linear(3, 4, bias=False)
    return nn.Sequential(nn.AdaptiveAvgPool2d((1, 3)), nn.Flatten(), layer)
"""
NORMED = """
import torch
from torch import nn


def build():
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Flatten(), nn.Linear(8 * 4 * 4, 4),
    )
"""


def opened(folder: Path, source: str = "") -> PreparedSubject:
    """Return a tiny subject, of a source of one's own."""
    spec = write_subject(folder)
    if source:
        (folder / "own.py").write_text(source, encoding="utf-8")
        data = write_images(folder / "own.npz")
        spec = SubjectSpec(
            model=f"{folder / 'own.py'}:build",
            data=f"npz:{data}#mean=0.5&std=0.25",
            samples=120,
            calibration_samples=40,
            batch_size=16,
        )
    return prepare(load_subject(spec))


def pruned(
    prepared: PreparedSubject, ratio: float, granularity: str = "element", criterion: str = "l1"
) -> Plan:
    """Ask for one ratio everywhere."""
    plan = start_plan(prepared, criterion=criterion, granularity=granularity)
    names = [item.name for item in targets(prepared, granularity) if item.prunable]
    return at_ratio(plan, names, ratio)


def context_of(
    prepared: PreparedSubject,
    plan: Plan,
    method: str,
    *,
    steps: int,
    steps_per_epoch: int = 4,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    **recipe: Any,
) -> Context:
    """Return what a method is made from; batches are of the calibration samples."""
    entry = TRAINING_METHODS.get(method)
    asked = TrainingRecipe.of(method, steps=steps, lr=RATE, **{**recipe, "batch_size": 8})
    trainee = Trainee(
        prepared, plan, is_dense_shaped=entry.regrows, may_be_dense=not entry.needs_pruning
    )
    make = optimizer or (lambda found: torch.optim.SGD(found, lr=RATE, momentum=0.9))
    split = prepared.subject.calibration
    assert split is not None
    batches = list(split.batches(8))
    return Context(
        trainee=trainee,
        recipe=asked,
        steps=steps,
        steps_per_epoch=steps_per_epoch,
        optimizer=make(trainee.model.parameters()),
        seed=7,
        batches=lambda count: [batches[place % len(batches)] for place in range(count)],
        loss=training_loss(prepared, asked),
    )


def made(context: Context) -> Sparsity:
    return TRAINING_METHODS.get(context.recipe.method).make(context)


def do_step(
    context: Context,
    method: Sparsity,
    step: int,
    gradients: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None,
) -> None:
    """Do one optimizer step as the loop does, with gradients by hand or of a batch."""
    model = context.trainee.model
    method.before_forward(step)
    context.optimizer.zero_grad()
    if gradients is None:
        inputs, labels = context.batches(step + 1)[-1]
        context.loss(model(inputs), inputs, labels).total.backward()
    else:
        parameters = dict(model.named_parameters())
        found = gradients({name: item.detach() for name, item in parameters.items()})
        for name, gradient in found.items():
            parameters[name].grad = gradient.clone()
    method.before_step(step)
    for group in context.optimizer.param_groups:
        group["lr"] = method.rate(step, RATE)
    context.optimizer.step()
    method.after_step(step)
