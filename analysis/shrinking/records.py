"""What is ordered of a job, and what it tells on the way and at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from analysis.allocation import asked_drop
from analysis.jobs import JobRecord, OrderRecord
from analysis.records import Evaluation, Plan, Recipe, Seconds, Share

# What a job is for.
ANSWER, TRADE_OFF = "answer", "trade-off"
# Of searching, from the first curve on; then the plan is evaluated.
SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(OrderRecord):
    """What a job is for.

    Attributes:
        subject: Model and data. Where all samples would be evaluated, some are set aside.
        recipe: Budgets and constraints of the answer.
        kind: ``answer`` looks for one plan; ``trade-off`` for one at each of several sizes.
        levels: Sizes of a trade-off, shares of the dense model.
        measure: The size that is made small where no budget says it: ``macs`` or ``params``.
        plan: Where it starts: its locked entries stay, its repair holds. None: all that can be
            pruned, after the usual repair.
        seconds: Wall time of searching; of a trade-off, at each size.
        recover: Preset of a training of what was found; empty for none.
        train_data: Address of its data; empty for those that come with the data.
    """

    recipe: Recipe = field(default_factory=Recipe)
    kind: str = ANSWER
    levels: tuple[Share, ...] = ()
    measure: str = "macs"
    plan: Plan | None = None
    seconds: Seconds = SECONDS
    recover: str = ""
    train_data: str = ""

    def content(self) -> dict[str, Any]:
        """Return what tells orders apart; the same one for longer goes on."""
        content = super(Order, self).content()
        del content["seconds"]
        for name in ("recover", "train_data"):
            # Jobs from before there was training have their names.
            if not content[name]:
                del content[name]
        return content


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(JobRecord):
    """A search as far as it got; of an answer it has one plan.

    Attributes:
        share: What the best plan so far leaves of the dense model.
        drop: Its drop on the search data.
        searched_on: Where the samples of the search come from, for a person.
        news: What came to its end, one sentence each.
    """

    schema_version: ClassVar[int] = 1
    order: Order
    share: float | None = None
    drop: float | None = None
    searched_on: str = ""
    news: tuple[str, ...] = ()


def missed_drop(recipe: Recipe, found: Evaluation) -> float | None:
    """Return the drop that was asked for, if untouched samples show a larger one; else None.

    A search compares many plans on the same samples, so it takes some for better than they are.
    """
    asked = asked_drop(recipe)
    return asked if asked is not None and found.removed.drop > asked else None
