"""What is ordered of a job, and what it tells on the way and at the end."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

from analysis.allocation import parse_budgets
from analysis.records import (
    DONE,
    LIVE_STATES,
    QUEUED,
    Count,
    Document,
    Evaluation,
    Plan,
    Progress,
    Recipe,
    Record,
    Seconds,
    Share,
    SubjectSpec,
)

# What a job is for.
ANSWER, TRADE_OFF = "answer", "trade-off"
# Of searching, from the first curve on; then the plan is evaluated.
SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Record):
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
    """

    subject: SubjectSpec
    recipe: Recipe = field(default_factory=Recipe)
    kind: str = ANSWER
    levels: tuple[Share, ...] = ()
    measure: str = "macs"
    plan: Plan | None = None
    seconds: Seconds = SECONDS

    @property
    def job_id(self) -> str:
        """Tells orders apart; the same one for longer goes on."""
        content = self.to_dict()
        del content["seconds"]
        text = json.dumps(content, sort_keys=True)
        return f"j-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Document):
    """A job as far as it got.

    Attributes:
        order: What it is for.
        state: As of a run.
        stage: What is being done, for a person.
        progress: How far that is.
        share: What the best plan so far leaves of the dense model.
        drop: Its drop on the search data.
        eta_seconds: Time that is left; None while that is unknown.
        pid: Process that works on it.
        host: Machine of the process.
        started: Unix time.
        changed: Unix time of the last sign of life.
        searched_on: Where the samples of the search come from, for a person.
        stopped: Whether somebody ended the search early.
        plan_ids: What was found, in the workspace: one plan of an answer.
        evaluation: The answer measured on untouched samples, as a dictionary.
        error: Why it failed.
    """

    schema_version: ClassVar[int] = 1
    order: Order
    state: str = QUEUED
    stage: str = "Starting"
    progress: Progress = field(default_factory=Progress)
    share: float | None = None
    drop: float | None = None
    eta_seconds: float | None = None
    pid: Count | None = None
    host: str = ""
    started: float = 0.0
    changed: float = 0.0
    searched_on: str = ""
    stopped: bool = False
    plan_ids: tuple[str, ...] = ()
    evaluation: dict[str, Any] | None = None
    error: str = ""

    @property
    def job_id(self) -> str:
        """Its name."""
        return self.order.job_id

    @property
    def is_live(self) -> bool:
        """Whether it is worked on."""
        return self.state in LIVE_STATES

    @property
    def is_done(self) -> bool:
        """Whether it has its result."""
        return self.state == DONE

    @property
    def seconds(self) -> float:
        """Wall time from its start to its last sign of life."""
        return max(0.0, (time.time() if self.is_live else self.changed) - self.started)


def missed_drop(recipe: Recipe, found: Evaluation) -> float | None:
    """Return the drop that was asked for, if untouched samples show a larger one; else None.

    A search compares many plans on the same samples, so it takes some for better than they are.
    """
    asked = [item.limit for item in parse_budgets(recipe.budgets) if item.is_drop]
    return min(asked) if asked and found.removed.drop > min(asked) else None
