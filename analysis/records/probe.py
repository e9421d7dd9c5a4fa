"""Outputs of a few samples, kept to tell what layers do together that were pruned one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import numpy as np

    from analysis.records.plan import Plan
    from analysis.records.sums import Sums
    from analysis.records.sweep import PointKey

Key = TypeVar("Key", bound=Hashable)
Name = TypeVar("Name", bound=Hashable)
# Samples whose kept outputs get a name together: a part of a probe is known as such.
BLOCK = 512
DIGITS = 16


@dataclass(frozen=True, slots=True, eq=False)
class ProbePart(Generic[Key]):
    """What the dense model, and each pruned one, answered to some samples of the probe.

    The probe is the first samples of the evaluation set, whose order the seed chooses. Of many
    outputs only the largest ones of the dense model and the right one are kept.

    Attributes:
        first: Number of the first sample in the evaluation set.
        columns: Which outputs are kept, int32 ``(N, K)``.
        dense: The dense model's, float32 ``(N, K)``.
        truth: Which of the kept ones is right, int32 ``(N,)``.
        changes: What each point (or edit) adds to the dense model's, float16 ``(N, K)``.
    """

    first: int
    columns: np.ndarray
    dense: np.ndarray
    truth: np.ndarray
    changes: Mapping[Key, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.dense)

    def named(self, names: Callable[[Key], Iterable[Name]]) -> ProbePart[Name]:
        """Return the changes by other names; a change may have several."""
        changes = {name: change for key, change in self.changes.items() for name in names(key)}
        return ProbePart(self.first, self.columns, self.dense, self.truth, changes)


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What a plan adds to the dense model's outputs of the first samples.

    Attributes:
        columns: `columns_digests` of which outputs are kept.
        outputs: float16 ``(n, K)``, as the changes of points in `Probe`.
    """

    columns: str
    outputs: np.ndarray

    def on(self, columns: str, samples: int) -> np.ndarray | None:
        """Return the outputs of the samples of a probe, ``(samples, K)``.

        Args:
            columns: `Probe.columns`.
            samples: Samples of the probe.

        Returns:
            None where samples are missing, or other outputs of them were kept. Of a part of a block
            it is taken that the blocks before it tell.
        """
        if len(self.outputs) == samples:
            return self.outputs if self.columns == columns else None
        whole = samples // BLOCK * DIGITS
        is_known = whole > 0 and self.columns[:whole] == columns[:whole]
        return self.outputs[:samples] if is_known and samples < len(self.outputs) else None


def columns_digest(columns: np.ndarray) -> str:
    """Return a name for which outputs are kept of each sample."""
    return hashlib.sha256(columns.astype("<i4").tobytes()).hexdigest()[:DIGITS]


def columns_digests(columns: np.ndarray) -> str:
    """Return a name that begins with the names of the first samples, in blocks of `BLOCK`."""
    starts = range(0, len(columns), BLOCK)
    return "".join(columns_digest(columns[start : start + BLOCK]) for start in starts)


@dataclass(frozen=True, slots=True)
class MeasuredPlan:
    """What a plan's model showed on the whole evaluation set.

    Attributes:
        plan: The plan, with the repair that was done.
        sums: Sums of the pruned model.
        change: Of the outputs of the first samples; None where nobody kept it.
    """

    plan: Plan
    sums: Sums
    change: Change | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A probe as a run has it.

    Attributes:
        dense: The dense model's outputs, float32 ``(N, K)``.
        truth: Which of them is right, int32 ``(N,)``.
        changes: Changes by point, float16 ``(n, K)`` of the first ``n <= N`` samples.
        columns: `columns_digests` of which outputs are kept.
    """

    dense: np.ndarray
    truth: np.ndarray
    changes: Mapping[PointKey, np.ndarray]
    columns: str = ""
