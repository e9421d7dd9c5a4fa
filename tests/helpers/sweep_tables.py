"""Tables of sweeps, to be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from analysis.records import PointKey, SweepUpdate


def table(update: SweepUpdate) -> dict[object, object]:
    """All sums but the time that they took, and the reasons of what was inferred."""
    sums = {key: dataclasses.replace(item, seconds=0.0) for key, item in update.sums.items()}
    dense = dataclasses.replace(update.baseline, seconds=0.0)
    return {"sums": sums, "dense": dense, "inferred": dict(update.inferred)}


def probe_of(updates: Iterable[SweepUpdate]) -> dict[PointKey, np.ndarray]:
    """What updates say of the probe by point, the samples in their order."""
    parts: dict[PointKey, dict[int, np.ndarray]] = {}
    for update in updates:
        if update.probe is not None:
            for key, change in update.probe.changes.items():
                parts.setdefault(key, {})[update.probe.first] = change
    return {
        key: np.concatenate([found[first] for first in sorted(found)])
        for key, found in parts.items()
    }
