"""What the process that leads a training leaves for those that follow, in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from analysis.files import write_text
from analysis.records import Document, Plan, PositiveCount
from analysis.recovery.training.recipe import TrainingRecipe
from pruners.errors import PruneScopeError, as_plain, from_plain

ORDER = "order.json"
START = "start.safetensors"
MEETING = "meeting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Document):
    """What all processes train.

    Attributes:
        plan: What is pruned, and of which subject.
        recipe: How it is trained.
        seed: Of all that is drawn.
        steps: Of the whole training.
        identity: Fields of the subject's `Identity`, as the leading process found it.
        data: Fingerprint of the training data.
        devices: One for each process; the first is that of the leading one.
        machines: How many of them each machine has, in their order.
        threads: Of the processor, for each process.
        roots: Folders below which files may lie; None allows everything.
    """

    plan: Plan
    recipe: TrainingRecipe
    seed: int
    steps: PositiveCount
    identity: dict[str, str]
    data: str
    devices: tuple[str, ...]
    machines: tuple[PositiveCount, ...]
    threads: PositiveCount
    roots: tuple[str, ...] | None = None


def ready(rank: int) -> str:
    """Return the file that says that a process is about to join."""
    return f"ready-{rank}"


def failure(rank: int) -> str:
    """Return the file with what a process ended with; see `leave_error`."""
    return f"failure-{rank}"


def leave_error(path: Path, problem: PruneScopeError) -> None:
    """Leave word of what a process ended with."""
    write_text(path, json.dumps(as_plain(problem)))


def error_left(path: Path) -> PruneScopeError | None:
    """Return what a process left word of; None if there is none."""
    try:
        return from_plain(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def neighbours(order: Order, rank: int) -> int:
    """Return how many processes the machine of a process has."""
    first = 0
    for count in order.machines:
        first += count
        if rank < first:
            return count
    raise ValueError(f"{len(order.devices)} devices have no process {rank}")
