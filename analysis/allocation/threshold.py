"""Each layer as far as it goes alone within one tolerance.

The largest measured ratio before the first crossing, per layer: the conservative reading of a
sensitivity curve. With a budget, the tolerance itself is searched: the smallest one whose plan
meets the budget (the idea of PaddleSlim's ``get_ratios_by_sensitivity`` and of AIMET's equal-score
level, here with exact costs and over all tolerances at which the plan changes). Where less than
what tolerance 0 removes is enough, removals are undone unit by unit, first those whose drop may be
the largest for what they save.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.allocation.bisection import to_budgets
from analysis.allocation.strategy import BEST, Allocation, Request
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
        if found.feasible and found.level == 0 and _sizes(request):
            found = _undone(request, fill(request, 0.0), readings)
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


def _sizes(request: Request) -> list[str]:
    """Return the kinds of size that are limited."""
    return [budget.kind for budget in request.budgets if not budget.is_drop]


def _undone(request: Request, plan: Plan, readings: _Readings) -> Allocation:
    """Undo as many removals as the budgets of sizes allow."""
    units = _undo_order(request, plan, readings)

    def fill(asked: Request, level: float) -> Plan:
        kept: dict[str, int] = {}
        for name, count in units[: round(-level)]:
            kept[name] = max(count, kept.get(name, 0))
        found = plan
        for name, count in kept.items():
            found = set_kept(found, name, count)
        return asked.finish(found)

    found = to_budgets(request, levels=range(-len(units), 1), fill=fill)
    if found.level == 0:
        return found
    message = (
        "the layers alone could go further at no drop that was seen; removals were undone up to "
        "the budget"
    )
    return dataclasses.replace(found, level=0.0, message=message)


@dataclass(frozen=True, slots=True)
class _Removal:
    """A stretch of an entry's curve: what its removal may cost, what it saves, what is left.

    Attributes:
        rise: How far the upper end of the drop rises.
        saved: Share of the dense model, inside of the plan; summed over the kinds of size.
        ratio: At its strong end.
        kept: Units that stay without it, ...
        left: ... and with it.
    """

    rise: float
    saved: float
    ratio: float
    kept: int
    left: int

    @property
    def rate(self) -> float:
        """What it may cost for what it saves."""
        return self.rise / max(self.saved, 1e-12)


def _undo_order(request: Request, plan: Plan, readings: _Readings) -> list[tuple[str, int]]:
    """Return what to undo, a unit at a time: entry and how many it keeps then.

    First where the drop may have risen most for what was saved; where that is equal, at the
    largest ratio.
    """
    found = []
    for entry in plan.entries:
        if not entry.locked and entry.kept < entry.total:
            reading = dict(_options(entry, readings, criteria=request.criteria))[entry.criterion]
            found += [(entry.name, item) for item in _removals(request, plan, entry, reading)]
    # Rates of an entry rise along its curve, so that its strong end comes first.
    found.sort(key=lambda item: (-item[1].rate, -item[1].ratio))
    return [(name, kept) for name, item in found for kept in range(item.left + 1, item.kept + 1)]


def _removals(request: Request, plan: Plan, entry: PlanEntry, reading: _Reading) -> list[_Removal]:
    """Cut the curve of an entry where its rate rises; what rises first and is flat then is one."""

    def share(kept: int) -> float:
        changed = set_kept(plan, entry.name, kept)
        return sum(request.meter.share(changed, kind) for kind in _sizes(request))

    found: list[_Removal] = []
    kept, before, high = entry.total, share(entry.total), 0.0
    for ratio, count, drop in zip(reading.ratios, reading.kept, reading.highs, strict=True):
        # Rounding may have kept more than the curve's point.
        left = max(count, entry.kept)
        if left >= kept:
            continue
        after = share(left)
        item = _Removal(max(drop - high, 0.0), before - after, ratio, kept, left)
        while found and item.rate <= found[-1].rate:
            last = found.pop()
            item = _Removal(last.rise + item.rise, last.saved + item.saved, ratio, last.kept, left)
        found.append(item)
        kept, before, high = left, after, max(drop, high)
    return found
