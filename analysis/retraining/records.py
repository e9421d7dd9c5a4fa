"""What is ordered of a training job, and what it tells on the way and at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from analysis.jobs import JobRecord, OrderRecord
from analysis.records import Count, Plan, PositiveCount, Record, Seconds
from analysis.recovery.training import (
    FINETUNE,
    TRAINING_METHODS,
    TrainingPoint,
    TrainingRecipe,
)
from pruners.errors import InputError

KIND = "training"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(OrderRecord):
    """What is trained, and how.

    Attributes:
        plan: What is pruned. Training starts from its repaired weights, or from its trained ones:
            that is how a training is made longer.
        recipe: How it is trained, in each round.
        seeds: One training a seed, no two alike; the answer is of the first, the interval over
            all.
        rounds: The units are taken in so many rounds, scored anew on what the last one trained.

    Raises:
        InputError: There are no seeds, or two are the same; or there are rounds, and the method
            prunes on the way by itself.
    """

    kind: str = KIND
    plan: Plan
    recipe: TrainingRecipe
    seeds: tuple[Count, ...] = (0,)
    rounds: PositiveCount = 1

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError(
                f"a training needs seeds, each of them once; found {list(self.seeds) or 'none'}"
            )
        if self.rounds > 1 and TRAINING_METHODS.get(self.recipe.method).regrows:
            raise InputError(
                f"{self.recipe.method} prunes the dense model on the way, so each round would "
                f"begin anew; rounds go with {FINETUNE}"
            )

    def content(self) -> dict[str, Any]:
        """Return what the result hangs on; what a person says of the plan does not count."""
        content = super(Order, self).content()
        for name in ("run", "strategy", "recipe", "note", "extra", "trained"):
            del content["plan"][name]
        return content


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedResult(Record):
    """What one training came to, on the untouched evaluation subset.

    Attributes:
        seed: Its seed.
        plan_id: The trained plan, in the workspace.
        accuracy: Score of its model.
        drop: Lost against dense.
        drop_low: Lower end of its paired interval.
        drop_high: Upper end.
        epochs: How often each sample was seen, in all rounds.
        seconds: Spent on training.
    """

    seed: Count
    plan_id: str
    accuracy: float
    drop: float
    drop_low: float
    drop_high: float
    epochs: float
    seconds: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(JobRecord):
    """A training as far as it got.

    Attributes:
        notes: What a person should know of the training data, one sentence each.
        lines: Scores on the selection samples before the training, as of the dense model.
        dense: Score of the dense model on the evaluation subset; None until it was measured.
        pruned: Of the plan without repair.
        repaired: Of what the training starts from.
        seed: The one that is trained now.
        round: The round, counted from 1.
        point: Where its training is.
        results: Of the seeds that are done.
        accuracy: Mean score over the seeds that are done.
        drop: Mean drop against dense.
        drop_low: Lower end of its interval: paired over samples of one seed, over seeds of several.
        drop_high: Upper end.
    """

    schema_version: ClassVar[int] = 1
    order: Order
    notes: tuple[str, ...] = ()
    lines: dict[str, float] = field(default_factory=dict)
    dense: float | None = None
    pruned: float | None = None
    repaired: float | None = None
    seed: Count = 0
    round: PositiveCount = 1
    point: TrainingPoint | None = None
    results: tuple[SeedResult, ...] = ()
    accuracy: float | None = None
    drop: float | None = None
    drop_low: float | None = None
    drop_high: float | None = None
