"""What all orders and jobs have, whatever they are for."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

from analysis.records import (
    DONE,
    LIVE_STATES,
    QUEUED,
    Count,
    Document,
    Progress,
    Record,
    SubjectSpec,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord(Record):
    """What a job is for.

    Attributes:
        subject: Model and data.
        kind: What is asked for, of the kinds that the job's room has.
    """

    subject: SubjectSpec
    kind: str

    def content(self) -> dict[str, Any]:
        """Return what tells orders apart; what is not in it may change from start to start."""
        return self.to_dict()

    @property
    def job_id(self) -> str:
        """The name of its job: that of the same content."""
        text = json.dumps(self.content(), sort_keys=True)
        return f"j-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord(Document):
    """A job as far as it got.

    Attributes:
        order: What it is for.
        state: As of a run.
        stage: What is being done, for a person.
        progress: How far that is.
        eta_seconds: Time that is left; None while that is unknown.
        pid: Process that works on it.
        host: Machine of the process.
        started: Unix time.
        changed: Unix time of the last sign of life.
        stopped: Whether somebody ended it early.
        plan_ids: What was found, in the workspace.
        evaluation: The answer measured on untouched samples, as a dictionary.
        error: Why it failed.
        comes_again: Whether it would fail so again; see `pruners.errors.comes_again`.
    """

    schema_version: ClassVar[int] = 1
    order: OrderRecord
    state: str = QUEUED
    stage: str = "Starting"
    progress: Progress = field(default_factory=Progress)
    eta_seconds: float | None = None
    pid: Count | None = None
    host: str = ""
    started: float = 0.0
    changed: float = 0.0
    stopped: bool = False
    plan_ids: tuple[str, ...] = ()
    evaluation: dict[str, Any] | None = None
    error: str = ""
    comes_again: bool = False

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
