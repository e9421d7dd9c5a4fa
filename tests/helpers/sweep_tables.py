"""Tables of sweeps, to be compared."""

from __future__ import annotations

import dataclasses

from analysis.records import SweepUpdate


def table(update: SweepUpdate) -> dict[object, object]:
    """All sums but the time that they took, and the reasons of what was inferred."""
    sums = {key: dataclasses.replace(item, seconds=0.0) for key, item in update.sums.items()}
    dense = dataclasses.replace(update.baseline, seconds=0.0)
    return {"sums": sums, "dense": dense, "inferred": dict(update.inferred)}
