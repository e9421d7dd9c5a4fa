"""A plan and its entries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from analysis.records.codec import Count, PositiveCount, Share
from analysis.records.record import Document, Record
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import Granularity
from pruners.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEntry(Record):
    """What a plan does to one group (channel, head) or layer (element, block, n:m).

    Attributes:
        layer: Module name of the layer, or of the group's first producer.
        group: The group's id; None where the granularity has no groups.
        ratio: Requested ratio, 0..1.
        kept: Number of units that stay, of ``total``.
        indices: The kept units in rising order; None where masks are too large to list
            (element): they follow from criterion, seed and kept count, and are stored as a file.
        locked: Auto-fill leaves the entry alone.

    Raises:
        InputError: More are kept than there are.
    """

    layer: str
    group: str | None
    criterion: str
    granularity: Granularity
    ratio: Share
    kept: Count
    total: PositiveCount
    indices: tuple[Count, ...] | None = None
    locked: bool = False

    def __post_init__(self) -> None:
        if self.kept > self.total:
            raise InputError(f"{self.layer} keeps {self.kept} of {self.total}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Document):
    """A pruning configuration of one subject.

    Attributes:
        subject: What it applies to.
        fingerprint: Content fingerprint of the model's weights that it was made for.
        entries: One entry a pruned group or layer; what is not listed stays dense.
        run: The run whose points it was chosen from, if any.
        strategy: How it was made: ``manual``, ``uniform``, ``threshold``, ...
        semantics: ``removal`` or ``weights``, as in `SweepSpec`.
        reduction: How member layers' scores join in a coupled group, as in `SweepSpec`.
        note: Free text.
    """

    subject: SubjectSpec
    fingerprint: str
    entries: tuple[PlanEntry, ...]
    run: str | None = None
    strategy: str = "manual"
    semantics: str = "removal"
    reduction: str = "mean"
    note: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
