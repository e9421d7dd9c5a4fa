"""Sensitivity sweeps: every point of a grid, measured slice by slice.

All curves appear after the first slice and sharpen together; whoever stops the generator keeps what
was measured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from analysis.edits import PreparedSubject
from analysis.measuring import Cancel, Slices, probe_samples
from analysis.records import PointKey, SweepSpec, SweepState, SweepUpdate
from analysis.sweeps.grid import points_of
from analysis.sweeps.modes import MODES
from analysis.sweeps.planned import PlannedSweep


def plan_sweep(prepared: PreparedSubject, spec: SweepSpec) -> PlannedSweep:
    """Plan a sweep; what costs time is done when it is first asked for.

    What the spec leaves to the subject, the samples of its probe, is decided.

    Raises:
        UnknownNameError: There is no such mode.
        InputError: The grid is empty or malformed; the message says why.
    """
    mode = MODES.get(spec.mode)
    points = points_of(prepared, spec)
    if spec.probe is None:
        spec = dataclasses.replace(spec, probe=_probe(prepared, points))
    return PlannedSweep(prepared, spec, points, mode)


def _probe(prepared: PreparedSubject, points: Sequence[PointKey]) -> int:
    subject = prepared.subject
    total = 0 if subject.evaluation is None else len(subject.evaluation)
    outputs = subject.task.kept_count(subject.num_classes)
    return probe_samples(total, outputs=outputs, points=len(points))


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
        resume: What an earlier call measured; its slices are not measured again. Sums that end
            inside of a slice cannot be continued, and are: they are of other batch sizes.
        cancel: Asked before each point.

    Raises:
        InputError: The sweep cannot be done, or the data raises in a slice.
    """
    state = SweepState() if resume is None else _continued(resume, planned.slices)
    yield from planned.mode.iterate(planned, state, cancel)


def _continued(state: SweepState, slices: Slices) -> SweepState:
    kept = {
        key: sums
        for key, sums in state.sums.items()
        if sums.samples in slices.ends or key in state.inferred
    }
    return dataclasses.replace(state, sums=kept)
