"""What a training says while it runs; needs no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records import Count, Record, Seconds
from pruners.errors import InputError

if TYPE_CHECKING:
    from analysis.recovery.plan_repair import Recovery

TIMING, TRAINING, DONE, STOPPED = "timing", "training", "done", "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionScore(Record):
    """How well the model does on the samples that are set apart.

    Attributes:
        score: As the task has it.
        low: Lower end of its interval.
        high: Upper end.
        samples: How many there are.
    """

    score: float
    low: float
    high: float
    samples: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a training is.

    Attributes:
        step: Optimizer steps done.
        steps: All of them.
        epoch: How often each training sample was seen.
        rate: Learning rate of the last step.
        ratio: Share of what the plan removes that is removed, 0..1.
        loss: What was lowered, a mean over the steps since the last point; None before the first.
        task_loss: The task's part of it, without its weight; None without labels.
        distill_loss: The divergence from the dense model, without its weight; None without
            distillation.
        selection: None between evaluations.
        seconds: Spent so far, interruptions aside.
        images_per_second: Since the last point.
        eta_seconds: Until the end.
        stage: What is being done: ``timing``, ``training``, ``done`` or ``stopped``.
        is_done: Whether the training came to its end.
    """

    step: Count
    steps: Count
    epoch: float
    rate: float
    ratio: float
    loss: float | None = None
    task_loss: float | None = None
    distill_loss: float | None = None
    selection: SelectionScore | None = None
    seconds: Seconds = 0.0
    images_per_second: float = 0.0
    eta_seconds: Seconds = 0.0
    stage: str = TRAINING
    is_done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPoint(_Place, Record):
    """A point of a training's curves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingUpdate(_Place):
    """A point while it is new, and at the end what was learned.

    Attributes:
        recovery: At the end, or where it was cancelled with all pruned; else None.
        notes: What a person should know of the training data, once they are open.
        keeps_start: At the end, whether what the training started from was better on the selection
            samples than all that came later, and is the result.
    """

    recovery: Recovery | None = None
    notes: tuple[str, ...] = ()
    keeps_start: bool = False


def read_history(path: Path) -> tuple[TrainingPoint, ...]:
    """Return the points of a training; what is damaged, and all after it, is left out."""
    found = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return ()
    for line in lines:
        try:
            found.append(TrainingPoint.from_dict(json.loads(line)))
        except (ValueError, InputError):
            break
    return tuple(found)
