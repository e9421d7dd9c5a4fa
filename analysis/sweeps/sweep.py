"""Sensitivity sweeps: every point of a grid, measured slice by slice.

All curves appear after the first slice and sharpen together; whoever stops the generator keeps what
was measured.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.edits import PreparedSubject
from analysis.measuring import Cancel
from analysis.records import SweepSpec, SweepState, SweepUpdate
from analysis.sweeps.grid import points_of
from analysis.sweeps.modes import MODES
from analysis.sweeps.planned import PlannedSweep


def plan_sweep(prepared: PreparedSubject, spec: SweepSpec) -> PlannedSweep:
    """Plan a sweep; what costs time is done when it is first asked for.

    Raises:
        UnknownNameError: There is no such mode.
        InputError: The grid is empty or malformed; the message says why.
    """
    mode = MODES.get(spec.mode)
    return PlannedSweep(prepared, spec, points_of(prepared, spec), mode)


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
        InputError: The sweep cannot be done, or the data raises in a slice.
    """
    yield from planned.mode.iterate(planned, resume or SweepState(), cancel)
