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
    return joined(found)


def joined(shares: Sequence[Measured[Item]]) -> Measured[Item]:
    """Join what the shares of one slice showed; all of them measured the dense model."""
    whole: Measured[Item] = Measured(shares[0].baseline)
    for measured in shares:
        whole.sums |= measured.sums
        whole.failed |= measured.failed
        whole.setup_seconds += measured.setup_seconds
    return whole
