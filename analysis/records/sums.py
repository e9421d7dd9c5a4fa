"""What was counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from analysis.records.codec import Count
from analysis.records.record import Record

_OWN_NAMES = ("samples", "seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums(Record):
    """Counts and sums over evaluated samples; shards merge by adding.

    Which terms there are is the task's affair: classification counts right answers, a regression
    sums squared errors. ``sums["correct"]`` is a term; a sum over no samples has none.

    Attributes:
        samples: Samples evaluated.
        seconds: Compute time spent.
        terms: Sums over the samples by name; whole numbers stay ``int``. Cannot be changed.
    """

    samples: Count = 0
    seconds: float = 0.0
    terms: Mapping[str, int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.terms.keys().isdisjoint(_OWN_NAMES):
            raise ValueError(f"no term may be called {' or '.join(_OWN_NAMES)}")
        object.__setattr__(self, "terms", MappingProxyType(dict(self.terms)))

    def __getitem__(self, name: str) -> float:
        return self.terms[name]

    def count(self, name: str) -> int:
        """Return a term that counts samples."""
        return int(self.terms[name])

    def __add__(self, other: Sums) -> Sums:
        names = dict.fromkeys((*self.terms, *other.terms))
        return Sums(
            samples=self.samples + other.samples,
            seconds=self.seconds + other.seconds,
            terms={name: self.terms.get(name, 0) + other.terms.get(name, 0) for name in names},
        )

    def __hash__(self) -> int:
        return hash((self.samples, self.seconds, frozenset(self.terms.items())))

    def __reduce__(self) -> tuple[Any, ...]:
        # A view of a dictionary can be neither copied nor sent to another process.
        return Sums.from_dict, (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """Return one flat dictionary: samples, the terms, seconds."""
        return {"samples": self.samples, **self.terms, "seconds": self.seconds}

    @classmethod
    def fields_of(cls, data: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        """Return the values by field from what `to_dict` wrote: every other name is a term."""
        own = {name: data[name] for name in _OWN_NAMES if name in data}
        return {**own, "terms": {name: data[name] for name in data if name not in own}}


@dataclass(frozen=True, slots=True)
class SliceCounts:
    """What one slice of the evaluation set showed; see `analysis.tasks.Scoring.look`.

    Attributes:
        lost: Samples that dense answers right and pruned wrong. Of a mean: the sum of drops. Of a
            ratio: the low end of the drop's interval on all samples so far.
        gained: Samples that dense answers wrong and pruned right. Of a mean: the sum of squared
            drops. Of a ratio: the high end of that interval.
        samples: Its samples.
    """

    lost: float
    gained: float
    samples: int
