"""What a training method does while the loop trains; needs no torch to be listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pruners.errors import InputError, UnsupportedError
from pruners.granularity import parse
from pruners.semantics import SEMANTICS

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from analysis.edits import PreparedSubject
    from analysis.records import Plan, PlanEntry
    from analysis.recovery.training.passes import TrainingLoss
    from analysis.recovery.training.recipe import TrainingRecipe
    from analysis.recovery.training.trainee import Trainee
    from pruners.batches import Inputs


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a method is made from.

    Attributes:
        trainee: The model with its masks; those of the plan are set.
        recipe: What was asked for.
        steps: Optimizer steps of the whole training.
        steps_per_epoch: Steps in which each training sample is seen once.
        optimizer: Of all parameters of the trainee.
        seed: Of the training.
        batches: Gives so many batches of training data for statistics, the same ones each time.
        loss: What is lowered, of a model's outputs for a batch.
    """

    trainee: Trainee
    recipe: TrainingRecipe
    steps: int
    steps_per_epoch: int
    optimizer: Optimizer
    seed: int
    batches: Callable[[int], list[tuple[Inputs, Tensor | None]]]
    loss: TrainingLoss


class Sparsity(Protocol):
    """What a training method does around each optimizer step, counted from 0.

    All that it does hangs on the step, its state, and what it was made from: a resumed training
    equals one that ran through.
    """

    @property
    def ratio(self) -> float:
        """Share of what the plan removes that is removed now, 0..1."""

    def moves_after(self, step: int) -> bool:
        """Return whether masks may still move when the step of a number is done."""
        return False

    def before_forward(self, step: int) -> None:
        """Get ready, once an optimizer step, before its first batch."""
        return

    def rate(self, step: int, rate: float) -> float:
        """Return the learning rate of a step, given the schedule's."""
        return rate

    def penalty(self, step: int) -> Tensor | None:
        """Return what is added to the loss of each step; None for nothing."""
        return None

    def before_step(self, step: int) -> None:
        """See, and mask, the complete gradients."""
        return

    def after_step(self, step: int) -> None:
        """Mask the weights; move masks."""
        return

    def state(self) -> Mapping[str, Tensor]:
        """Return what a resumed training needs beside the trainee's masks."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` returned."""
        return

    def finish(self) -> None:
        """Leave masks with exactly as many units as the plan keeps, after the last step."""
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingMethod:
    """A way of training a pruned model.

    Attributes:
        name: Name in commands, files and tables.
        label: Name on pages.
        help: What it is, in plain words.
        make: Makes what acts around each step.
        citation: Where it comes from; empty where it has no single source.
        regrows: Whether masks move while it trains: the model then keeps the dense shape, and is
            made smaller at the end.
        may_regrow: Whether its recipe may let what is pruned come back.
        prunes_units: Whether it can prune channels and heads.
        needs_pruning: Whether it is of no use where the plan prunes nothing.
        preset: What its recipe has where nothing else is asked for; see `TrainingRecipe.of`.
    """

    name: str
    label: str
    help: str
    make: Callable[[Context], Sparsity]
    citation: str = ""
    regrows: bool = False
    may_regrow: bool = False
    prunes_units: bool = True
    needs_pruning: bool = True
    preset: Mapping[str, object] = field(default_factory=dict)

    def check(self, prepared: PreparedSubject, plan: Plan) -> None:
        """Refuse a plan that this method cannot train, before anything is computed.

        Args:
            prepared: The subject.
            plan: What is pruned.

        Raises:
            InputError: Nothing is pruned; or masks move, and the plan was trained already.
            UnsupportedError: Channels or heads are pruned, and the method cannot; or masks move,
                and a norm mixes channels of a group: masked is not removed there; or some layer
                loses units as well as elements; or a branch or layer goes as a whole.
        """
        pruned = [entry for entry in plan.entries if entry.kept < entry.total]
        if not pruned and self.needs_pruning:
            raise InputError("the plan prunes nothing, so there is nothing to recover")
        for entry in pruned:
            if entry.group is not None and not self.prunes_units:
                raise UnsupportedError(
                    f"training method {self.name} prunes elements, blocks and N:M, not the "
                    f"{entry.granularity}s of {entry.name}; take gmp with the criterion obs"
                )
        if self.regrows:
            self._check_moves(prepared, plan, pruned)

    def _check_moves(
        self, prepared: PreparedSubject, plan: Plan, pruned: Sequence[PlanEntry]
    ) -> None:
        """Refuse what masks that move cannot be had of."""
        if plan.training is not None:
            raise InputError(
                f"the plan was trained already, with all of its units gone; {self.name} prunes the "
                "dense model anew: train it longer by finetune, or give the plan as it was before"
            )
        if len({entry.name for entry in pruned}) < len(pruned):
            raise UnsupportedError(
                "the plan prunes units and elements of one layer, whose masks "
                f"{self.name} cannot move together; train it by finetune, or one after the other"
            )
        whole = next((item for item in pruned if parse(item.granularity).is_whole), None)
        if whole is not None:
            raise UnsupportedError(
                f"training method {self.name} removes more and more of what is pruned, and the "
                f"{whole.granularity} {whole.name} goes as a whole: choose finetune"
            )
        for entry in pruned:
            if entry.group is None or not SEMANTICS.get(plan.semantics).removes:
                continue
            group = prepared.group(entry.group)
            if not group.exact:
                raise UnsupportedError(
                    f"training method {self.name} masks channels while it trains, and at "
                    f"{group.id} {group.note or 'a norm mixes them'}: masked is not removed there; "
                    "choose finetune, or leave that group out"
                )
