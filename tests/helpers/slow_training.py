"""Training written out: what the loop must equal, step by step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from analysis.edits import PreparedSubject
from analysis.recovery.training import Trainee, TrainingRecipe, rate_at
from analysis.recovery.training.data import open_training_data


def trained_slowly(
    prepared: PreparedSubject, trainee: Trainee, recipe: TrainingRecipe, *, steps: int, seed: int
) -> tuple[nn.Module, list[float]]:
    """Return a copy of the trainee's model after some steps, and the task's loss of each."""
    model = copy.deepcopy(trainee.model)
    # Dropout draws in the order of memory.
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    masks = trainee.parameter_masks
    optimizer = optimizer_of(model, recipe)
    average = AveragedModel(
        model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema or 0.0), use_buffers=True
    )
    data = open_training_data(prepared, recipe, seed=seed)
    sampler = data.sampler(batch_size=recipe.batch_size * recipe.accumulate, seed=seed)
    losses = []
    torch.manual_seed(seed)
    for step in range(steps):
        inputs, targets = sampler.next()
        outputs = model(inputs)
        loss = F.cross_entropy(outputs, targets, label_smoothing=recipe.label_smoothing)
        losses.append(float(loss.detach()))
        total = loss
        if recipe.distill:
            total = (1 - recipe.distill) * loss + recipe.distill * divergence(
                outputs, prepared.model(inputs).detach(), recipe.temperature
            )
        optimizer.zero_grad()
        total.backward()
        for name, mask in masks.items():
            model.get_parameter(name).grad.mul_(mask)
        if recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(recipe, step, steps, lr=recipe.lr or 0.0)
        optimizer.step()
        with torch.no_grad():
            for name, mask in masks.items():
                model.get_parameter(name).mul_(mask)
        average.update_parameters(model)
    return (average.module if recipe.ema is not None else model), losses


def optimizer_of(model: nn.Module, recipe: TrainingRecipe) -> Any:
    groups = [
        {"params": [item for item in model.parameters() if item.dim() > 1]},
        {"params": [item for item in model.parameters() if item.dim() < 2], "weight_decay": 0.0},
    ]
    decay = recipe.weight_decay
    if recipe.optimizer == "adamw":
        return AdamW(groups, lr=0.0, weight_decay=decay)
    nesterov = recipe.momentum > 0
    return SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=nesterov, weight_decay=decay)


def divergence(outputs: Tensor, dense: Tensor, temperature: float) -> Tensor:
    """Return the squared temperature times KL(dense || outputs), by its definition."""
    aim, soft = (dense / temperature).softmax(1), (outputs / temperature).softmax(1)
    return temperature**2 * (aim * (aim.log() - soft.log())).sum(1).mean()


def after(count: int) -> Callable[[], bool]:
    """Return a cancel flag that is up after so many questions."""
    asked = iter(range(10**6))
    return lambda: next(asked) >= count
