"""What a sweep mode is: how much of the grid is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.measuring import Cancel
    from analysis.records import SweepState, SweepUpdate
    from analysis.sweeps.planned import PlannedSweep


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepMode:
    """A registered mode.

    Attributes:
        name: Name on the command line and in runs.
        label: Name on pages.
        help: What is measured, in plain words.
        stops_early: Whether a point stops where its answer is clear; slices are then read again.
        iterate: ``(planned, state, cancel)`` -> the state after each slice.
    """

    name: str
    label: str
    help: str
    stops_early: bool
    iterate: Callable[[PlannedSweep, SweepState, Cancel], Iterator[SweepUpdate]]
