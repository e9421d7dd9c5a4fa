"""One slice shared out among the workers of an executor."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.measuring import Cancel, Measured
from analysis.sweeps.executors.executor import Executor
from analysis.sweeps.grid import Item


def measure_shared(
    executor: Executor, number: int, items: Sequence[Item], cancel: Cancel
) -> Measured[Item] | None:
    """Measure the items of one slice, shared out among the workers; None if cancelled."""
    shares = [items[first :: executor.width] for first in range(executor.width)]
    found = executor.measure([(number, share) for share in shares if share], cancel)
    if found is None:
        return None
    joined: Measured[Item] = Measured(found[0].baseline)
    for measured in found:
        joined.sums |= measured.sums
        joined.failed |= measured.failed
        joined.setup_seconds += measured.setup_seconds
    return joined
