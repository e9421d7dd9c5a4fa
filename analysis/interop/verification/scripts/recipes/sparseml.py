"""SparseML's recipes, applied by its manager."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from safetensors.torch import load_file
from sparseml.pytorch.optim import ScheduledModifierManager


def check(case: Any) -> Iterator[dict[str, Any]]:
    """Compare kept counts, and the zeros that the second recipe holds through steps of training."""
    model = case.model("full").requires_grad_(True)
    ScheduledModifierManager.from_yaml(str(case.folder / "recipe_sparseml.yaml")).apply(model)
    yield case.kept(model, "recipe_sparseml.yaml")
    model = case.model("full").requires_grad_(True)
    model.load_state_dict(load_file(case.folder / "recipe_sparseml.safetensors"))
    manager = ScheduledModifierManager.from_yaml(str(case.folder / "recipe_sparseml_constant.yaml"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer = manager.modify(model, optimizer, steps_per_epoch=len(case.inputs))
    for inputs in case.inputs:
        optimizer.zero_grad()
        case.answer(model, inputs).square().sum().backward()
        optimizer.step()
    manager.finalize(model)
    masks = case.masks()
    found = {name: model.get_parameter(name) != 0 for name in masks}
    yield case.same("zeros after training", found, masks)
