"""Scores that are learned by what training moves away from zero: movement pruning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from analysis.edits import Target
from analysis.recovery.training.sparsity.moving import MovingMasks, mask_at, parameter_name
from pruners.errors import UnsupportedError
from pruners.granularity import parse
from pruners.layers import find_layer, to_output_first
from pruners.schedules import ratio_at
from pruners.selection import in_units

if TYPE_CHECKING:
    from analysis.recovery.training.method import Context
    from analysis.recovery.training.recipe import TrainingRecipe

# Rate of scores: of hard movement only their order counts, so any will do.
HARD_RATE = 1e-2
# The authors' threshold on sigmoid(score); scores begin at 0.
THRESHOLD = 0.1
# Weight of the mean sigmoid(score) in the loss, of the order of the authors' own.
PENALTY = 100.0
# Adam's, that scores of soft movement are learned by.
_DECAYS = (0.9, 0.999)
_EPS = 1e-12


def move_progress(recipe: TrainingRecipe, step: int, steps: int) -> float:
    """Return how far masks have moved before a step, 0..1: 0 in the warm-up, 1 in the cool-down.

    Args:
        recipe: Shares of the steps between which masks move.
        step: Optimizer step, counted from 0.
        steps: Of the whole training.
    """
    first = min(round(recipe.begin * steps), steps - 1)
    last = min(round(recipe.end * steps), steps - 1)
    return 1.0 if step >= last else max(0.0, (step - first) / (last - first))


class MovementMasks(MovingMasks):
    """Keep what has moved away from zero most: scores ``S -= a * dL/dW' * W``.

    ``W'`` is the masked weight, ``W`` the one behind the mask. Masked weights keep their value and
    get no updates, but their scores go on, and what rises returns. A block's or unit's score is the
    sum over its weights; of a unit of channels, over the weights that read it. Masks keep the
    highest scores, by a cubic schedule at every step between ``begin`` and ``end``.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context, hides=True)
        self.learned = {
            self.key(target): torch.zeros(
                target.total, device=context.trainee.prepared.subject.example.device
            )
            for target in self.targets
        }
        self._is_exact = False

    @property
    def score_rate(self) -> float:
        """Learning rate of the scores."""
        rate = self.context.recipe.score_lr
        return HARD_RATE if rate is None else rate

    def moves_after(self, step: int) -> bool:
        """Return whether the cool-down is still to come."""
        return self.progress(step) < 1

    def progress(self, step: int) -> float:
        """Return how far masks have moved before a step, 0..1."""
        return move_progress(self.context.recipe, step, self.context.steps)

    def before_forward(self, step: int) -> None:
        """Set masks by the scores of now, until the cool-down."""
        progress = self.progress(step)
        if not self._is_exact and progress > 0:
            self.move(self.chosen(progress))
        self._is_exact = progress >= 1

    def chosen(self, progress: float) -> dict[str, Tensor]:
        """Return the masks at a progress."""
        return {self.key(target): self.top(target, progress) for target in self.targets}

    def top(self, target: Target, progress: float) -> Tensor:
        """Return the mask of the highest scores, as many as the schedule keeps."""
        done = ratio_at("cubic", progress, final=1.0) if progress < 1 else 1.0
        scores = self.spread(target, self.learned[self.key(target)])
        return mask_at(target, scores, kept=self.kept(target), done=done)

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """Move the scores by the gradients of all weights, then mask these."""
        if not self._is_exact:
            for target in self.targets:
                self.learn(target, self.products(target), step)
        super().before_step(step)

    def learn(self, target: Target, products: Tensor, step: int) -> None:
        """Move the scores of a target.

        Args:
            target: The target.
            products: ``dL/dW' * W``, summed over each unit ``(units,)``.
            step: Optimizer step, counted from 0.
        """
        self.learned[self.key(target)].sub_(products, alpha=self.score_rate)

    def products(self, target: Target) -> Tensor:
        """Return ``dL/dW' * W``, summed over each unit of a target ``(units,)``."""
        if target.group is not None:
            return self._unit_products(target)
        module = find_layer(self.context.trainee.model, target.layer)
        product = to_output_first(self._product(parameter_name(module, target.layer)), module)
        return in_units(parse(target.granularity), product).sum(1)

    def _unit_products(self, target: Target) -> Tensor:
        trainee = self.context.trainee
        group = trainee.prepared.group(str(target.group))
        roles = ("consumer",) if trainee.removes else ("producer", "bias")
        total = torch.zeros_like(self.learned[self.key(target)])
        for member in group.members:
            if member.role in roles:
                product = self._product(member.name).movedim(member.dim, 0).flatten(1).sum(1)
                index = member.index.to(total.device)
                inside = index >= 0
                total.index_add_(0, index[inside], product[inside])
        return total

    def _product(self, name: str) -> Tensor:
        gradient = self.context.trainee.model.get_parameter(name).grad
        if gradient is None:
            raise UnsupportedError(
                f"the loss does not depend on {name}, so movement cannot score it; leave its layer "
                "out of the plan"
            )
        return gradient.float() * self.unmasked(name).float()

    def finish(self) -> None:
        """Keep exactly what the plan keeps, if the training ended before the cool-down."""
        if not self._is_exact:
            self.move(self.chosen(1.0))

    def state(self) -> Mapping[str, Tensor]:
        """Return hidden values and scores."""
        scores = {f"score.{name}": tensor for name, tensor in self.learned.items()}
        return {**super().state(), **scores, "is_exact": torch.tensor(self._is_exact)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over hidden values and scores."""
        super().load_state(state)
        for name, tensor in self.learned.items():
            tensor.copy_(state[f"score.{name}"])
        self._is_exact = bool(state["is_exact"])


class SoftMovementMasks(MovementMasks):
    """Keep what has ``sigmoid(S)`` above a threshold; a penalty on it makes scores fall.

    The penalty is ``penalty * r(t) * mean sigmoid(S)``, the mean over targets of their means, with
    ``r(t) = 1 - (1 - t)^3``. It is no part of the loss that is told, for its gradient is of scores
    alone, which Adam moves. At the end of the moves exactly as many units stay as the plan keeps,
    those of the highest scores.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._moments = {
            name: (torch.zeros_like(tensor), torch.zeros_like(tensor))
            for name, tensor in self.learned.items()
        }

    @property
    def score_rate(self) -> float:
        """Learning rate of scores; the usual one is at the threshold in a third of the moves."""
        recipe, steps = self.context.recipe, self.context.steps
        if recipe.score_lr is not None:
            return recipe.score_lr
        way = -float(torch.logit(torch.tensor(THRESHOLD)))
        return 3 * way / max(1, round((recipe.end - recipe.begin) * steps))

    def weight(self, step: int) -> float:
        """Return the weight of the mean ``sigmoid(S)`` in the loss of a step."""
        given = self.context.recipe.penalty
        share = ratio_at("cubic", self.progress(step), final=1.0)
        return (PENALTY if given is None else given) * share

    def chosen(self, progress: float) -> dict[str, Tensor]:
        """Return the masks at a progress: by threshold, in the end by number."""
        if progress >= 1:
            return super().chosen(progress)
        return {self.key(target): self._above(target) for target in self.targets}

    def _above(self, target: Target) -> Tensor:
        values = self.learned[self.key(target)]
        above = torch.sigmoid(values) > THRESHOLD
        if parse(target.granularity).keep_one:
            above[values.argmax()] = True
        return self.spread(target, above)

    def learn(self, target: Target, products: Tensor, step: int) -> None:
        """Move the scores of a target by Adam."""
        values = self.learned[self.key(target)]
        chance = torch.sigmoid(values)
        pull = self.weight(step) * chance * (1 - chance) / (values.numel() * len(self.learned))
        gradient = products + pull
        first, second = self._moments[self.key(target)]
        first.lerp_(gradient, 1 - _DECAYS[0])
        second.lerp_(gradient.square(), 1 - _DECAYS[1])
        mean = first / (1 - _DECAYS[0] ** (step + 1))
        square = second / (1 - _DECAYS[1] ** (step + 1))
        values.sub_(mean / (square.sqrt() + _EPS), alpha=self.score_rate)

    def state(self) -> Mapping[str, Tensor]:
        """Return hidden values, scores and their moments."""
        moments = {
            f"moment.{place}.{name}": tensor
            for name, pair in self._moments.items()
            for place, tensor in enumerate(pair)
        }
        return {**super().state(), **moments}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over hidden values, scores and their moments."""
        super().load_state(state)
        for name, pair in self._moments.items():
            for place, tensor in enumerate(pair):
                tensor.copy_(state[f"moment.{place}.{name}"])
