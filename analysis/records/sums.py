"""What was counted."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from analysis.records.codec import Count
from analysis.records.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums(Record):
    """Counts and sums over evaluated samples; shards merge by adding.

    Attributes:
        samples: Samples evaluated.
        correct: Right top-1 answers (without labels: answers equal to the dense model's).
        gained: Dense wrong, pruned right.
        lost: Dense right, pruned wrong.
        agree: Same top-1 answer as the dense model.
        loss: Sum of the cross-entropy (0 without labels).
        kl: Sum of KL(dense || pruned) of the softmax outputs, in nats.
        seconds: Compute time spent.
    """

    samples: Count = 0
    correct: Count = 0
    gained: Count = 0
    lost: Count = 0
    agree: Count = 0
    loss: float = 0.0
    kl: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            **{
                item.name: getattr(self, item.name) + getattr(other, item.name)
                for item in dataclasses.fields(self)
            }
        )


@dataclass(frozen=True, slots=True)
class SliceCounts:
    """What one slice of the evaluation set showed.

    Attributes:
        lost: Samples that dense answers right and pruned wrong.
        gained: Samples that dense answers wrong and pruned right.
        samples: Its samples.
    """

    lost: int
    gained: int
    samples: int
