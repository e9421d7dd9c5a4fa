"""What strategies choose from: for each entry the counts that were measured, and what they cost.

Entries that keep equally many units are chosen together, as one unit. Counts are what the
constraints make of the measured ones; between measured points a curve is read linearly, as AIMET
does after rounding, and beyond the last one it is not read at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.allocation.strategy import BEST, Request
from analysis.curves import cost_metric, curve_arrays, drop_at, in_curve_order, is_known
from analysis.plans import find, set_criterion, set_kept
from analysis.records import Plan, PlanEntry
from pruners.errors import InputError

Lift = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Reading:
    """A curve as strategies read it.

    Attributes:
        ratios: Achieved ratios, rising.
        values: Costs at them.
    """

    ratios: np.ndarray
    values: np.ndarray

    def at(self, entry: PlanEntry, kept: int) -> float:
        """Return the cost at a count; NaN beyond the end."""
        ratio = (entry.total - kept) / entry.total
        return drop_at(self.ratios, self.values, ratio=ratio)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A choice for the entries of a unit.

    Attributes:
        kept: Kept count by entry.
        criteria: Criterion by entry.
        value: What it costs, summed over the entries.
    """

    kept: Mapping[str, int]
    criteria: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Unit:
    """Entries that are chosen together.

    Attributes:
        names: Their names.
        candidates: The choices, from the one that removes least to the one that removes most.
    """

    names: tuple[str, ...]
    candidates: tuple[Candidate, ...]


# By (granularity, layer): the criteria that were measured there, in the order of the sweep.
Readings = Mapping[tuple[str, str], Mapping[str, Reading]]


def running_max(values: np.ndarray) -> np.ndarray:
    """Return the largest of the values up to each one, at least 0."""
    return np.maximum.accumulate(np.maximum(values, 0.0))


def readings(request: Request, *, lift: Lift = running_max) -> Readings:
    """Return the curves that a request may be filled from, each up to its first failed point.

    Args:
        request: What was asked; its ``cost`` is the metric that is read.
        lift: Makes costs monotone, or leaves them.

    Raises:
        UnknownNameError: No such metric.
        InputError: A cautious reading of a metric without intervals.
    """
    assert request.points is not None
    metric = cost_metric(request.cost, request.plan.subject.task)
    column = metric.high if request.cautious else metric.column
    if not column:
        raise InputError(
            f"{request.cost} has no interval to be read cautiously; read the drop so, or leave "
            "cautious out"
        )
    points = request.points
    usable = in_curve_order(points[is_known(points) | points["status"].eq("failed")])
    usable = usable.assign(_cost=usable[column].where(is_known(usable)))
    found: dict[tuple[str, str], dict[str, Reading]] = {}
    for (criterion, granularity, layer), curve in curve_arrays(usable, ["ratio_achieved", "_cost"]):
        values, ratios = curve["_cost"].astype(float), curve["ratio_achieved"].astype(float)
        ends = np.flatnonzero(np.isnan(values) | (ratios > request.most + 1e-9))
        stop = int(ends[0]) if len(ends) else len(values)
        ratios, lifted = ratios[:stop], lift(values[:stop])
        # Ratios may round to one count; the last one measured there speaks, as in the envelope.
        last = (np.diff(ratios, append=np.inf) > 0) & (ratios > 0)
        if last.any():
            reading = Reading(ratios[last], lifted[last])
            found.setdefault((granularity, layer), {})[criterion] = reading
    return found


def units(request: Request, by_layer: Readings) -> tuple[list[Unit], tuple[str, ...]]:
    """Return the units to choose for, and the layers without a curve, which stay as they are.

    A unit with a locked entry has one choice, and so has one with an entry without a curve.
    """
    tied = {name: names for names in request.tied for name in names}
    named = {tied.get(entry.name, (entry.name,)): None for entry in request.plan.entries}
    wanted = {names: _counts(request, names, by_layer) for names in named}
    finished = _finished(request, wanted)
    missing = tuple(
        entry.layer
        for entry in request.plan.entries
        if not entry.locked and not _options(request, entry, by_layer)
    )
    found = [Unit(names, _candidates(request, names, by_layer, finished[names])) for names in named]
    return found, missing


def filled(request: Request, chosen: Iterable[Candidate]) -> Plan:
    """Return the plan with the choices of all units."""
    plan = request.plan
    for candidate in chosen:
        for name, kept in candidate.kept.items():
            if not find(plan, name).locked:
                plan = set_criterion(plan, name, candidate.criteria[name])
                plan = set_kept(plan, name, kept)
    return request.finish(plan)


def _options(request: Request, entry: PlanEntry, by_layer: Readings) -> Mapping[str, Reading]:
    return {
        criterion: reading
        for criterion, reading in by_layer.get((entry.granularity, entry.layer), {}).items()
        if request.criteria == BEST or criterion == entry.criterion
    }


def _counts(request: Request, names: tuple[str, ...], by_layer: Readings) -> list[int]:
    """Return the counts that were measured for any entry of a unit, the largest first."""
    entries = [find(request.plan, name) for name in names]
    options = [_options(request, entry, by_layer) for entry in entries]
    if any(entry.locked for entry in entries) or not all(options):
        return []
    counts = {
        round(entry.total * (1 - ratio))
        for entry, found in zip(entries, options, strict=True)
        for reading in found.values()
        for ratio in reading.ratios.tolist()
    }
    return sorted({*counts, entries[0].total}, reverse=True)


def _finished(
    request: Request, wanted: Mapping[tuple[str, ...], list[int]]
) -> dict[tuple[str, ...], list[dict[str, int]]]:
    """Return what the constraints make of each count of each unit."""
    found: dict[tuple[str, ...], list[dict[str, int]]] = {names: [] for names in wanted}
    for place in range(max(map(len, wanted.values()), default=0) or 1):
        plan = request.plan
        for names, counts in wanted.items():
            for name in names if counts else ():
                plan = set_kept(plan, name, counts[min(place, len(counts) - 1)])
        kept = {entry.name: entry.kept for entry in request.finish(plan).entries}
        for names in wanted:
            choice = {name: kept[name] for name in names}
            if choice not in found[names]:
                found[names].append(choice)
    return found


def _candidates(
    request: Request,
    names: tuple[str, ...],
    by_layer: Readings,
    choices: list[dict[str, int]],
) -> tuple[Candidate, ...]:
    found = []
    for kept in choices:
        criteria, value = {}, 0.0
        for name in names:
            entry = find(request.plan, name)
            criteria[name], cost = _best(request, entry, by_layer, kept[name])
            value += cost
        if not np.isnan(value) or len(choices) == 1:
            found.append(Candidate(kept, criteria, 0.0 if np.isnan(value) else value))
    return tuple(found)


def _best(request: Request, entry: PlanEntry, by_layer: Readings, kept: int) -> tuple[str, float]:
    """Return the criterion that costs least at a count, and what it costs."""
    if kept == entry.total:
        return entry.criterion, 0.0
    options = _options(request, entry, by_layer)
    if entry.locked and entry.criterion in options:
        options = {entry.criterion: options[entry.criterion]}
    read = {criterion: reading.at(entry, kept) for criterion, reading in options.items()}
    known = {criterion: value for criterion, value in read.items() if not np.isnan(value)}
    if not known:
        return entry.criterion, float("nan")
    # Ties keep the order of the sweep's criteria.
    best = min(known, key=known.__getitem__)
    return best, known[best]


def isotonic(values: np.ndarray) -> np.ndarray:
    """Return the rising sequence with the least squared error to the values.

    >>> isotonic(np.array([0.0, 2.0, 1.0, 3.0])).tolist()
    [0.0, 1.5, 1.5, 3.0]
    """
    means: list[float] = []
    counts: list[int] = []
    for value in values.tolist():
        mean, count = value, 1
        while means and means[-1] >= mean:
            before = counts.pop()
            mean = (mean * count + means.pop() * before) / (count + before)
            count += before
        means.append(mean)
        counts.append(count)
    return np.repeat(means, counts)
