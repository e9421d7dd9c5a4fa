"""Sensitivity sweeps: every point of a grid, measured batch by batch.

For each batch the dense model runs once, then every point as an edit. All curves appear after the
first slice (`analysis.sweeps.slices`) and sharpen together; whoever stops the generator keeps what
was measured.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.edits import PreparedSubject
from analysis.records import SweepSpec, SweepState, SweepUpdate
from analysis.sweeps.adaptive import iter_adaptive
from analysis.sweeps.exhaustive import _Sweep
from analysis.sweeps.grid import plan_sweep, require_data
from analysis.sweeps.measuring import Cancel
from analysis.sweeps.timing import SweepEstimate, estimate_cost
from pruners.errors import UnknownNameError

__all__ = [
    "SweepEstimate",
    "SweepState",
    "SweepUpdate",
    "estimate_cost",
    "iter_sweep",
    "plan_sweep",
]

MODES = ("exhaustive", "adaptive")


def iter_sweep(
    prepared: PreparedSubject,
    spec: SweepSpec,
    *,
    resume: SweepState | None = None,
    cancel: Cancel = lambda: False,
) -> Iterator[SweepUpdate]:
    """Measure the points of a sweep, and yield after each batch.

    Adaptive mode measures only what its answers need; see `analysis.sweeps.adaptive`.
    A point that fails is recorded with its reason and the rest goes on. When ``cancel`` turns
    true, the batch in flight is dropped and the generator ends.

    Args:
        prepared: The subject.
        spec: The sweep.
        resume: What an earlier call measured; its batches are not measured again.
        cancel: Asked before each point.

    Raises:
        InputError: The sweep cannot be done, or the data raises in a batch.
    """
    if spec.mode == "adaptive":
        yield from iter_adaptive(prepared, spec, resume=resume or SweepState(), cancel=cancel)
        return
    if spec.mode != "exhaustive":
        raise UnknownNameError("mode", spec.mode, MODES)
    points = plan_sweep(prepared, spec)
    split = require_data(prepared)
    prepared.prepare(spec.criteria)
    yield from _Sweep(prepared, spec, points, split, resume or SweepState()).run(cancel)
