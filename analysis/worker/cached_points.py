"""What identifies a point by content, so that no point is ever measured twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.edits import PreparedSubject
from analysis.records import PlannedPoint, PointKey, Sums, SweepSpec
from analysis.sweeps import planned_points

if TYPE_CHECKING:
    from analysis.store import Store


def known_points(
    store: Store, prepared: PreparedSubject, spec: SweepSpec
) -> Mapping[PointKey, Sums]:
    """Return the points of a sweep that are measured on all samples, by any run.

    This is what `analysis.sweeps.timing.estimate_cost` takes as ``done``.
    """
    return complete(store, planned_points(prepared, spec), samples=_samples(prepared))


def complete(store: Store, points: Sequence[PlannedPoint], *, samples: int) -> dict[PointKey, Sums]:
    """Return the points that are known on all samples."""
    found = store.measured(item.cache_key for item in points)
    return {
        item.key: found[item.cache_key]
        for item in points
        if item.cache_key in found and found[item.cache_key].samples == samples
    }


def _samples(prepared: PreparedSubject) -> int:
    return 0 if prepared.subject.evaluation is None else len(prepared.subject.evaluation)
