"""Which answers pruning changes: the samples that flip, and how the confusion of classes moves."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.records.codec import Count, Share
from analysis.records.record import Record

LOST, GAINED, CHANGED = "lost", "gained", "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip(Record):
    """A sample that the pruned model answers otherwise.

    Attributes:
        place: Its place in the evaluation subset, from 0.
        kind: ``lost`` (the dense model was right), ``gained`` (the pruned one is), or ``changed``
            (both are wrong, or there are no labels).
        label: Name of its class; empty without labels.
        dense: What the dense model answers.
        pruned: What the pruned model answers.
        dense_confidence: Softmax of the dense model's answer.
        pruned_confidence: Softmax of the pruned model's answer.
    """

    place: Count
    kind: str
    label: str
    dense: str
    pruned: str
    dense_confidence: Share
    pruned_confidence: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion(Record):
    """A cell of the confusion matrix off its diagonal that pruning changes.

    Attributes:
        label: The true class (without labels: what the dense model answers).
        answer: What is answered instead.
        change: Samples answered so by the pruned model, minus those by the dense model.
    """

    label: str
    answer: str
    change: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers(Record):
    """How answers change.

    Attributes:
        lost: Samples that only the dense model answers right.
        gained: Samples that only the pruned model answers right.
        changed: Other samples with another answer.
        flips: The first of them, lost ones first, then gained, then changed.
        confusion: The largest changes of the confusion matrix, largest first.
    """

    lost: Count
    gained: Count
    changed: Count
    flips: tuple[Flip, ...] = ()
    confusion: tuple[Confusion, ...] = ()

    @property
    def total(self) -> int:
        """Samples with another answer."""
        return self.lost + self.gained + self.changed
