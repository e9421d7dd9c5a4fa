"""The registry of sweep modes; names and help are known without torch."""

from __future__ import annotations

from analysis import sweeps
from analysis.sweeps.mode import SweepMode
from pruners.registry import Registry

MODES = Registry(
    "mode",
    (
        SweepMode(
            name="exhaustive",
            label="All points, all samples",
            help="whole curves",
            stops_early=False,
            iterate=lambda planned, state, cancel: sweeps.ExhaustiveSweep(planned, state).run(
                cancel
            ),
        ),
        SweepMode(
            name="adaptive",
            label="Up to the tolerance",
            help="stop where the answer is clear",
            stops_early=True,
            iterate=lambda planned, state, cancel: sweeps.AdaptiveSweep(planned, state).run(cancel),
        ),
    ),
)
