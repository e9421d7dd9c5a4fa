"""Each layer as far as it goes alone within one tolerance.

The largest measured ratio before the first crossing, per layer: the conservative reading of a
sensitivity curve. With a budget, the tolerance itself is searched: the smallest one whose plan
meets the budget (the idea of PaddleSlim's ``get_ratios_by_sensitivity`` and of AIMET's equal-score
level, here with exact costs and over all tolerances at which the plan changes).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.allocation.bisection import to_budget
from analysis.allocation.strategy import BEST, Allocation, Request
from analysis.curves import curve_arrays, envelope, first_crossing, in_curve_order, is_known
from analysis.plans import set_criterion, set_kept
from analysis.records import Plan, PlanEntry


@dataclass(frozen=True, slots=True)
class _Reading:
    """One curve as the strategy reads it: kept counts and drops, from mild to strong."""

    ratios: list[float]
    kept: list[int]
    drops: list[float]

    def at(self, tolerance: float) -> tuple[float, int | None, float]:
        """Return ratio, kept count and drop at a tolerance; kept is None where nothing goes."""
        ratio, _ = first_crossing(self.ratios, self.drops, tolerance=tolerance)
        if ratio not in self.ratios:
            return 0.0, None, 0.0
        place = len(self.ratios) - 1 - self.ratios[::-1].index(ratio)
        return ratio, self.kept[place], self.drops[place]


# By (granularity, layer): the criteria that were measured there, in the order of the sweep.
_Readings = Mapping[tuple[str, str], list[tuple[str, _Reading]]]


def fill_to_threshold(request: Request) -> Allocation:
    """Fill every unlocked entry from its curve, at a tolerance or to a budget."""
    assert request.points is not None
    readings = _readings(request)

    def fill(asked: Request, tolerance: float) -> Plan:
        return _fill(asked, tolerance, readings)

    if request.budget is None:
        assert request.tolerance is not None
        level = request.tolerance
        found = Allocation(plan=fill(request, level), level=level)
    else:
        levels = sorted(
            {
                0.0,
                *(
                    max(drop, 0.0)
                    for options in readings.values()
                    for _, one in options
                    for drop in one.drops
                ),
            }
        )
        found = to_budget(request, request.budget, levels=levels, fill=fill)
    missing = tuple(
        entry.layer
        for entry in request.plan.entries
        if not entry.locked and not _options(entry, readings, criteria=request.criteria)
    )
    return dataclasses.replace(
        found,
        plan=dataclasses.replace(found.plan, strategy="threshold"),
        unmeasured=missing,
    )


def _readings(request: Request) -> _Readings:
    points = request.points
    assert points is not None
    column = "envelope_high" if request.cautious else "envelope"
    # A failed point ends a curve: what lies beyond it is not known to be safe.
    usable = in_curve_order(points[is_known(points) | points["status"].eq("failed")])
    lifted = envelope(usable)
    lifted.loc[~is_known(lifted), column] = np.nan
    lifted = lifted[lifted["ratio_achieved"] <= request.most + 1e-9]
    found: dict[tuple[str, str], list[tuple[str, _Reading]]] = {}
    for key, curve in curve_arrays(lifted, ["ratio_achieved", "kept", column]):
        reading = _reading(curve, column)
        if reading.ratios:
            found.setdefault((key[1], key[2]), []).append((key[0], reading))
    return found


def _reading(curve: Mapping[str, np.ndarray], column: str) -> _Reading:
    drops = curve[column].astype(float)
    ends = np.flatnonzero(np.isnan(drops))
    stop = int(ends[0]) if len(ends) else len(drops)
    return _Reading(
        curve["ratio_achieved"].tolist()[:stop],
        [int(kept) for kept in curve["kept"].tolist()[:stop]],
        drops[:stop].tolist(),
    )


def _options(entry: PlanEntry, readings: _Readings, *, criteria: str) -> list[tuple[str, _Reading]]:
    return [
        option
        for option in readings.get((entry.granularity, entry.layer), [])
        if criteria == BEST or option[0] == entry.criterion
    ]


def _fill(request: Request, tolerance: float, readings: _Readings) -> Plan:
    plan = request.plan
    for entry in plan.entries:
        options = _options(entry, readings, criteria=request.criteria)
        if entry.locked or not options:
            continue
        read = [(criterion, *reading.at(tolerance)) for criterion, reading in options]
        # Most removed first, then the smaller drop; ties keep the order of the sweep's criteria.
        criterion, _, kept, _ = max(read, key=lambda item: (item[1], -item[3]))
        plan = set_criterion(plan, entry.name, criterion)
        plan = set_kept(plan, entry.name, entry.total if kept is None else kept)
    return request.finish(plan)
