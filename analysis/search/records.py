"""What a search is asked for, what it keeps on disk, and what it tells on the way."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from analysis.records import (
    Count,
    Document,
    Plan,
    Progress,
    Recipe,
    Record,
    Seconds,
    Share,
)
from analysis.sentences import percent
from pruners.errors import InputError

if TYPE_CHECKING:
    from analysis.tasks import Words

# Folder of a workspace where searches are kept.
SEARCHES = "searches"
CRITERIA = ("l1", "taylor")
TRIALS = 60
# Of a trade-off: shares of the dense model, and plans tried at each after the first ones.
LEVELS = (0.8, 0.65, 0.5, 0.4, 0.3)
FRONTIER_TRIALS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a search is asked for.

    Attributes:
        recipe: Budgets and constraints. With a budget in ``drop`` the smallest plan is looked for
            that loses at most that; else the best one within the budgets.
        confidence: With which the drop is at most that on the search data, one-sided, 0.5..1.
        measure: What is made small where no budget of size says it: ``macs`` or ``params``.
        criteria: Criteria that it may choose from, a group at a time.
        trials: Plans that are tried at most after the first ones.
        seconds: Wall time after which no new plan is tried; None: no limit.
        saving: With a budget in latency, what is taken for granted of the saving that is estimated.

    Raises:
        InputError: The confidence is out of range.
    """

    recipe: Recipe
    confidence: Share = 0.9
    measure: str = "macs"
    criteria: tuple[str, ...] = CRITERIA
    trials: Count = TRIALS
    seconds: Seconds | None = None
    saving: float = 1.0

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise InputError(
                f"the confidence of a search is from 0.5 up to but not 1, found {self.confidence:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Record):
    """What a plan does to one entry."""

    criterion: str
    kept: Count


def choices_of(plan: Plan) -> dict[str, Choice]:
    """Return what a plan does to each entry."""
    return {
        entry.name: Choice(criterion=entry.criterion, kept=entry.kept) for entry in plan.entries
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried(Record):
    """A plan that was measured on the search data.

    Attributes:
        choices: By entry.
        share: What is left of the dense model.
        cost: Mean distance of its outputs from the dense ones.
        drop: Drop of the score on the search data.
        samples: Samples behind both; a trial that was refused early saw fewer.
        origin: Where it comes from: a strategy, ``dense``, ``trade`` or ``smaller``.
        accepted: Whether the search went on from it.
    """

    choices: dict[str, Choice]
    share: float
    cost: float
    drop: float
    samples: Count
    origin: str
    accepted: bool = False

    def plan(self, start: Plan, recipe: Recipe) -> Plan:
        """Return the plan of a search that began at ``start`` and was asked for ``recipe``."""
        entries = tuple(
            dataclasses.replace(
                entry,
                criterion=self.choices[entry.name].criterion,
                kept=self.choices[entry.name].kept,
                ratio=(entry.total - self.choices[entry.name].kept) / entry.total,
                indices=None,
            )
            for entry in start.entries
        )
        return dataclasses.replace(start, entries=entries, strategy="search", recipe=recipe)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchState(Document):
    """A search as far as it got: enough to go on as if nothing had happened.

    Attributes:
        request: Fingerprint of all that it depends on.
        curves: Kept counts and costs alone, by entry and criterion.
        level: Share of the dense model that plans may leave now.
        best: The plan that it stands at, by place in ``tried``; None before the first one.
        tried: All plans, in order.
        trials: Plans tried after the first ones.
        factors: See `analysis.search.beliefs`.
        covariance: Of the factors.
        failures: Attempts to get smaller in a row that failed.
        left: Trades to be tried at this size before anything else.
        descends: Whether it has reached what was asked for, and makes the model smaller.
        held: The least share that is known to hold the drop, be it too large.
        seconds: Wall time so far.
        finished: Why it ended; empty while it has not.
    """

    schema_version: ClassVar[int] = 1
    request: str
    curves: dict[str, dict[str, tuple[tuple[float, ...], tuple[float, ...]]]] = field(
        default_factory=dict
    )
    level: float = 1.0
    best: int | None = None
    tried: tuple[Tried, ...] = ()
    trials: Count = 0
    factors: tuple[float, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    failures: Count = 0
    left: Count = 0
    descends: bool = False
    held: Share = 1.0
    seconds: Seconds = 0.0
    finished: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchUpdate:
    """What a search tells on the way.

    Attributes:
        stage: What is being done, for a person.
        progress: How far that is.
        plan: The best plan so far; None before there is one.
        share: What it leaves of the dense model.
        drop: Its drop on the search data.
        state: All of it.
        news: What came to its end, one sentence; else empty.
    """

    stage: str
    progress: Progress
    plan: Plan | None
    share: float | None
    drop: float | None
    state: SearchState
    news: str = ""

    def text(self, words: Words) -> str:
        """Return stage and the best plan so far in one line."""
        if self.share is None or self.drop is None:
            return self.stage
        left = percent(self.share, digits=1)
        return f"{self.stage}; so far {left} left at {words.cost(self.drop)}"


def fingerprint(content: dict[str, Any]) -> str:
    """Return what tells requests apart, as hexadecimal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
