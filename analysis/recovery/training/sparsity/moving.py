"""Masks that move while the model is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from analysis.edits import Target, kept_units
from analysis.recovery.training.method import Sparsity
from pruners.granularity import Granularity, parse
from pruners.layers import weight_name
from pruners.selection import element_mask, expand, in_units, num_kept, num_kept_fixed

if TYPE_CHECKING:
    from analysis.recovery.training.method import Context


class MovingMasks(Sparsity):
    """Start dense, move masks on the way, end with what the plan keeps.

    Args:
        context: The training; its model begins with the dense weights, for what is to be pruned
            later is still there.
        hides: Keep the values of what is masked, for when it returns; else it returns as 0.

    Attributes:
        context: The training.
        targets: What the plan prunes.
        planned: The masks that the plan itself has, by `key`.
    """

    def __init__(self, context: Context, *, hides: bool = False) -> None:
        self.context = context
        self.targets = context.trainee.targets
        self.planned = dict(context.trainee.masks)
        self._hides = hides
        self._hidden: dict[str, Tensor] = {}
        self._final = {
            self.key(target): _units(target, self.planned[self.key(target)])
            for target in self.targets
        }
        context.trainee.open()

    def key(self, target: Target) -> str:
        """Return what masks and scores of a target are found by."""
        return self.context.trainee.key(target)

    @property
    def ratio(self) -> float:
        """Share of the plan's removed units that are removed now."""
        masks = self.context.trainee.masks
        gone = [target.total - _units(target, masks[self.key(target)]) for target in self.targets]
        wanted = [target.total - self._final[self.key(target)] for target in self.targets]
        return min(1.0, sum(gone) / sum(wanted))

    def kept(self, target: Target) -> int:
        """Return how many units of a target the plan keeps."""
        return self._final[self.key(target)]

    def spread(self, target: Target, values: Tensor) -> Tensor:
        """Return values of units ``(units,)`` as `analysis.edits.scores` gives scores."""
        if target.group is not None:
            return values.cpu()
        granularity, shape = parse(target.granularity), self.planned[self.key(target)].shape
        if granularity.kind != "block":
            return values.reshape(shape)
        high, wide = -(-shape[0] // granularity.rows), -(-shape[1] // granularity.columns)
        return expand(granularity, values.reshape(high, wide, -1), shape)

    def before_step(self, step: int) -> None:
        """Keep the optimizer from what is masked."""
        self.context.trainee.mask_gradients()

    def after_step(self, step: int) -> None:
        """Keep zeros zero."""
        self.context.trainee.mask_weights()

    @torch.no_grad()
    def move(self, masks: Mapping[str, Tensor]) -> None:
        """Set masks by `key`, True = keep; weights and what is hidden of them follow."""
        trainee = self.context.trainee
        parameters = dict(trainee.model.named_parameters())
        whole = (
            {name: self.unmasked(name) for name in trainee.parameter_masks} if self._hides else {}
        )
        trainee.set_masks(
            [(item, masks[self.key(item)]) for item in self.targets if self.key(item) in masks]
        )
        if self._hides:
            for name in trainee.parameter_masks:
                found = whole.get(name, parameters[name])
                parameters[name].copy_(found)
                self._hidden[name] = found.clone()
        trainee.mask_weights()

    @contextmanager
    def revealed(self) -> Iterator[None]:
        """Put the values of what is masked back into the model for a while."""
        parameters = dict(self.context.trainee.model.named_parameters())
        with torch.no_grad():
            for name in self._hidden:
                parameters[name].copy_(self.unmasked(name))
        try:
            yield
        finally:
            self.context.trainee.mask_weights()

    def unmasked(self, name: str) -> Tensor:
        """Return a parameter with the hidden values of what is masked in it."""
        trainee = self.context.trainee
        parameter = trainee.model.get_parameter(name).detach()
        if name not in self._hidden:
            return parameter.clone()
        return torch.where(trainee.parameter_masks[name], parameter, self._hidden[name])

    def state(self) -> Mapping[str, Tensor]:
        """Return the hidden values."""
        return {f"hidden.{name}": tensor for name, tensor in self._hidden.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over hidden values, which a checkpoint has on the CPU."""
        device = self.context.trainee.prepared.subject.example.device
        self._hidden = {
            name.removeprefix("hidden."): tensor.to(device, copy=True)
            for name, tensor in state.items()
            if name.startswith("hidden.")
        }


def parameter_name(module: nn.Module, layer: str) -> str:
    """Return the full name of a layer's weight."""
    attribute = weight_name(module, name=layer)
    return f"{layer}.{attribute}" if layer else attribute


def mask_at(target: Target, scores: Tensor, *, kept: int, done: float) -> Tensor:
    """Return the mask of a target on the way to what its plan keeps.

    Args:
        target: What is pruned.
        scores: As `analysis.edits.scores` gives them; higher is kept.
        kept: Units that stay in the end.
        done: Share of the plan's ratio that is reached, 0..1; at 1 exactly ``kept`` units stay.

    Returns:
        True = keep: ``(units,)``, or the weight's output-first shape. On the way to N:M, patterns
        with more kept of each M come first.
    """
    granularity = parse(target.granularity)
    if done >= 1:
        return kept_units(scores, kept, granularity=target.granularity)
    if granularity.kind == "n:m":
        more = (granularity.columns - granularity.rows) * (1 - done)
        step = Granularity("n:m", granularity.rows + round(more), granularity.columns)
        return element_mask(step, scores, kept=num_kept_fixed(step, scores.shape))
    ratio = (target.total - kept) / target.total * done
    on_the_way = max(kept, num_kept(ratio, target.total, keep_one=granularity.keep_one))
    return kept_units(scores, on_the_way, granularity=target.granularity)


def _units(target: Target, mask: Tensor) -> int:
    """Return how many units a mask keeps."""
    if target.group is not None:
        return int(mask.sum())
    return int(in_units(parse(target.granularity), mask).any(1).sum())
