"""What a search is asked for, what it keeps on disk, and what it tells on the way."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from analysis.records import Count, Document, Plan, PositiveCount, Progress, Record, Share, Seconds

CRITERIA = ("l1", "taylor")
TRIALS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim(Record):
    """What a search is asked for.

    Attributes:
        budgets: Limits of size that all hold, as in ``macs=0.5``.
        max_drop: The smallest plan is looked for that loses at most this, a fraction; None: the
            best plan within the budgets.
        confidence: With which the drop is at most that, on the search data, one-sided.
        measure: What is made small where there is no budget of size: ``macs`` or ``params``.
        criteria: Criteria that it may choose from, a group at a time.
        trials: Plans that are tried at most after the first ones.
        seconds: Wall time after which no new plan is tried; None: no limit.
        calibration_samples: With which trials are repaired; the answer has the whole set.
        round_to: Kept channels are a multiple of this.
    """

    budgets: tuple[str, ...] = ()
    max_drop: Share | None = None
    confidence: Share = 0.9
    measure: str = "macs"
    criteria: tuple[str, ...] = CRITERIA
    trials: Count = TRIALS
    seconds: Seconds | None = None
    calibration_samples: PositiveCount = 128
    round_to: PositiveCount = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Record):
    """What a plan does to one entry."""

    criterion: str
    kept: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried(Record):
    """A plan that was measured on the search data.

    Attributes:
        choices: By entry.
        share: What is left of the dense model.
        cost: Mean distance of its outputs from the dense ones.
        drop: Drop of the score on the search data.
        origin: ``start`` with a strategy's name, ``trial``, ...
        accepted: Whether the search went on from it.
    """

    choices: dict[str, Choice]
    share: float
    cost: float
    drop: float
    origin: str
    accepted: bool = False


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
        failures: Attempts to get smaller that did not hold, in a row.
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
    """

    stage: str
    progress: Progress
    plan: Plan | None
    share: float | None
    drop: float | None
    state: SearchState


def fingerprint(content: dict[str, Any]) -> str:
    """Return what tells requests apart, as hexadecimal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
