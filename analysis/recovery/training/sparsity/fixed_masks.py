"""Masks that never change: all is pruned before the first step."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from analysis.recovery.kept import repaired_plan
from analysis.recovery.training.method import Sparsity
from analysis.recovery.training.sparsity.moving import parameter_name
from pruners.layers import find_layer, layer_names

if TYPE_CHECKING:
    from analysis.recovery.training.method import Context
    from analysis.recovery.training.trainee import Trainee


class FixedMasks(Sparsity):
    """Train with the masks of the plan."""

    def __init__(self, trainee: Trainee) -> None:
        self._trainee = trainee

    @property
    def ratio(self) -> float:
        """All that the plan prunes is pruned."""
        return 1.0

    def before_step(self, step: int) -> None:
        """Keep the optimizer from what is pruned."""
        self._trainee.mask_gradients()

    def after_step(self, step: int) -> None:
        """Keep zeros zero."""
        self._trainee.mask_weights()


class SurgeryFirst(FixedMasks):
    """Train from the weights of the repair ``obs``, whatever the plan is repaired by.

    Raises:
        UnsupportedError: The repair does not fit the plan's semantics.
        InputError: There is no calibration data.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context.trainee)
        plan = dataclasses.replace(context.trainee.plan, repair="obs")
        repaired = repaired_plan(context.trainee.prepared, plan)
        if repaired is not None:
            context.trainee.load(repaired.edit.tensors)


class KeptZeros(FixedMasks):
    """Keep all zeros that the given weights have, beside those of the plan.

    Layers without a zero, and layers of nothing but zeros, are a new head, which stays dense.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context.trainee)
        model, masks = context.trainee.model, {}
        for layer in layer_names(model):
            name = parameter_name(find_layer(model, layer), layer)
            kept = model.get_parameter(name).detach() != 0
            if bool(kept.any()) and not bool(kept.all()):
                masks[name] = kept
        context.trainee.mask_parameters(masks)
