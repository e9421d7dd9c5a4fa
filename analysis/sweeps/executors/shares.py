"""One slice shared out among the workers of an executor."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

from analysis.measuring import Cancel, Measured
from analysis.records import ProbePart
from analysis.sweeps.executors.executor import Executor
from analysis.sweeps.grid import Item

Key = TypeVar("Key", bound=Hashable)


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
        whole.probe = with_changes(whole.probe, measured.probe)
    return whole


def with_changes(
    probe: ProbePart[Key] | None, others: ProbePart[Key] | None
) -> ProbePart[Key] | None:
    """Return a probe with the changes that another share of the same samples showed.

    Where two devices round logits differently, other ones may be the largest: then the changes of
    the first share are all there are.
    """
    if probe is None or others is None or not np.array_equal(probe.columns, others.columns):
        return probe or others
    return dataclasses.replace(probe, changes={**probe.changes, **others.changes})
