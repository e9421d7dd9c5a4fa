"""Sensitivity sweeps: every point of a grid, measured slice by slice.

All curves appear after the first slice and sharpen together; whoever stops the generator keeps what
was measured.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.measuring import Cancel
from analysis.records import SweepState, SweepUpdate
from analysis.sweeps.modes import MODES
from analysis.sweeps.planned import PlannedSweep


def iter_sweep(
    planned: PlannedSweep,
    *,
    resume: SweepState | None = None,
    cancel: Cancel = lambda: False,
) -> Iterator[SweepUpdate]:
    """Measure the points of a sweep, and yield after each slice.

    Adaptive mode measures only what its answers need; see `analysis.sweeps.adaptive`.
    A point that fails is recorded with its reason and the rest goes on. When ``cancel`` turns
    true, the slice in flight is dropped and the generator ends.

    Args:
        planned: The sweep.
        resume: What an earlier call measured; its slices are not measured again.
        cancel: Asked before each point.

    Raises:
        UnknownNameError: There is no such mode.
        InputError: The sweep cannot be done, or the data raises in a slice.
    """
    yield from MODES.get(planned.spec.mode).iterate(planned, resume or SweepState(), cancel)
