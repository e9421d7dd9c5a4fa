"""Optimizers, and what becomes of their state when parameters shrink."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

if TYPE_CHECKING:
    from analysis.recovery.training.recipe import TrainingRecipe

Groups = Sequence[Mapping[str, Any]]
Select = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Return the trained parameters: weights, and biases and norms, which have no decay."""
    trained = [item for item in model.parameters() if item.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [item for item in trained if item.dim() > 1]},
        {"params": [item for item in trained if item.dim() <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def sgd(groups: Groups, recipe: TrainingRecipe) -> SGD:
    """Return SGD with Nesterov's momentum, if any."""
    return SGD(
        list(map(dict, groups)),
        lr=0.0,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
    )


def adamw(groups: Groups, recipe: TrainingRecipe) -> AdamW:
    """Return AdamW with its usual momenta."""
    return AdamW(list(map(dict, groups)), lr=0.0, weight_decay=recipe.weight_decay)


def optimizer_state(optimizer: Optimizer, names: Mapping[Tensor, str]) -> dict[str, Tensor]:
    """Return the state of an optimizer by ``parameter:key``.

    Args:
        optimizer: Its state holds tensors and nothing else.
        names: Name of each parameter.
    """
    return {
        f"{names[parameter]}:{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if value is not None
    }


def selected_state(state: Mapping[str, Tensor], select: Select) -> dict[str, Tensor]:
    """Return what `optimizer_state` gave, for parameters of which only a part is left.

    Args:
        state: Of the whole parameters.
        select: Returns that part of tensors by parameter name, which have the parameters' shapes.
    """
    found = {}
    for where, value in state.items():
        name = where.rpartition(":")[0]
        # Counters of steps have no dims, and belong to the parameter as a whole.
        found[where] = select({name: value})[name] if value.dim() else value
    return found


def load_optimizer_state(
    optimizer: Optimizer, names: Mapping[Tensor, str], state: Mapping[str, Tensor]
) -> None:
    """Put back what `optimizer_state` returned."""
    parameters = {name: parameter for parameter, name in names.items()}
    optimizer.state.clear()
    for where, value in state.items():
        name, _, key = where.rpartition(":")
        parameter = parameters[name]
        # Counters of steps stay on the CPU, as the optimizer has them; all else lies in memory as
        # the parameter does, since sums hang on the order.
        like = torch.empty_like(value) if value.dim() == 0 else torch.empty_like(parameter)
        optimizer.state[parameter][key] = like.detach().copy_(value)
