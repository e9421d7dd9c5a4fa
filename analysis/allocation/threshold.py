"""Each layer as far as it goes alone within one tolerance.

The largest measured ratio before the first crossing, per layer: the conservative reading of a
sensitivity curve. With a budget, the tolerance itself is searched: the smallest one whose plan
meets the budget (the idea of PaddleSlim's ``get_ratios_by_sensitivity`` and of AIMET's equal-score
level, here with exact costs and over all tolerances at which the plan changes). Where less than
what changes at that tolerance is enough, measured steps are taken back, first those whose drop may
be the largest for what they save; where less than what tolerance 0 removes is enough, units are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.allocation.bisection import to_budgets
from analysis.allocation.strategy import BEST, Allocation, Request
from analysis.allocation.ties import Choice, Step, between, sizes_of, steps_of
from analysis.curves import curve_arrays, envelope, first_crossing, in_curve_order, is_known
from analysis.plans import set_criterion, set_kept
from analysis.records import Plan, PlanEntry


@dataclass(frozen=True, slots=True)
class _Reading:
    """One curve as the strategy reads it: kept counts and drops, from mild to strong.

    ``highs`` are the upper ends of the drops.
    """

    ratios: list[float]
    kept: list[int]
    drops: list[float]
    highs: list[float]

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

    if not request.budgets:
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
        found = to_budgets(request, levels=levels, fill=fill)
        # Below tolerance 0 there is no milder level, and each unit may stay.
        by_unit = found.level == 0 and bool(sizes_of(request).budgets or not found.feasible)
        found = between(
            request,
            found,
            levels=levels,
            fill=fill,
            steps=lambda mild, strong: _steps(request, readings, mild, strong, by_unit=by_unit),
            nested=by_unit,
        )
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
    for key, curve in curve_arrays(lifted, ["ratio_achieved", "kept", column, "envelope_high"]):
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
        curve["envelope_high"].astype(float)[:stop].tolist(),
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


def _steps(
    request: Request, readings: _Readings, mild: Plan, strong: Plan, *, by_unit: bool
) -> Iterator[Step]:
    """Return the measured steps between two plans, or each unit."""
    for before, entry in zip(mild.entries, strong.entries, strict=True):
        if entry.locked or entry.kept >= before.kept:
            continue
        reading = dict(_options(entry, readings, criteria=request.criteria))[entry.criterion]
        # Rounding may have kept more than the curve's point.
        costs = {before.kept: 0.0}
        for kept, high in zip(reading.kept, reading.highs, strict=True):
            kept = min(max(kept, entry.kept), before.kept)
            costs[kept] = max(high, costs.get(kept, 0.0))
        choices = [Choice({entry.name: kept}, cost) for kept, cost in costs.items()]
        for step in steps_of(request, strong, choices):
            yield from _units(step, entry.name) if by_unit else [step]


def _units(step: Step, name: str) -> Iterator[Step]:
    for count in range(step.kept[name], step.left[name], -1):
        yield dataclasses.replace(step, kept={name: count}, left={name: count - 1})
