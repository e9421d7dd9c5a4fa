"""A repair: the weights that stay are made larger."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from analysis.edits import Edit, Target
from analysis.repairs import (
    REPAIRS,
    PlanWork,
    PointRepair,
    PointRepairer,
    RepairMethod,
    weight_names,
)
from pruners.reconstruction import Repair

FACTOR = 1.25


def louder_point(repairer: PointRepairer, target: Target, mask: Tensor, edit: Edit) -> Edit:
    """Return the edit with larger weights."""
    tensors = {name: FACTOR * tensor for name, tensor in edit.tensors.items()}
    return dataclasses.replace(edit, tensors=tensors)


def louder_plan(work: PlanWork) -> Repair:
    """Return the plan's tensors, larger."""
    return Repair({name: FACTOR * tensor for name, tensor in work.start.items()}, (), {})


REPAIRS.register(
    RepairMethod(
        name="louder",
        label="Louder",
        help="the weights that stay are made larger",
        in_sweeps=PointRepair(weight_names, louder_point),
        in_plans=louder_plan,
    )
)
