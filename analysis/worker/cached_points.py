"""What is known of a sweep's points from earlier runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from analysis.records import PointKey, Sums

if TYPE_CHECKING:
    from analysis.store import Store
    from analysis.sweeps import PlannedSweep


def known_points(store: Store, planned: PlannedSweep) -> Mapping[PointKey, Sums]:
    """Return the points of a sweep that are measured on all samples, by any run.

    This is what `analysis.sweeps.estimate_cost` takes as ``done``.

    Raises:
        InputError: The subject has no data.
    """
    found = store.points.measured(item.cache_key for item in planned.identified)
    return {
        item.key: found[item.cache_key]
        for item in planned.identified
        if item.cache_key in found and found[item.cache_key].samples == planned.slices.total
    }
