"""The least sum of a cost over layers within budgets, exactly.

Costs of layers are added as their curves show them alone; sizes are those of the model after
removal, where layers interact: the sizes of neighbours multiply. `analysis.allocation.exact`
decides over both. With budgets in drop alone, the multiply-adds (parameters where shapes stay) are
the sum that is to be least.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.allocation.bisection import Spending, drop_out_of_reach, out_of_reach
from analysis.allocation.candidates import Candidate, Readings, Unit, filled, readings, units
from analysis.allocation.exact.problem import Problem, Table
from analysis.allocation.exact.solution import Solution, solve
from analysis.allocation.strategy import Allocation, Request
from analysis.plans import envelopes, find, lock
from analysis.records import Plan
from analysis.sentences import percent
from pruners.granularity import parse

_Parts = Mapping[tuple[int, ...], np.ndarray]
_SLACK = 1e-12
# Of choices that cost the same, those that remove less: far below what samples can resolve.
_TIE = 1e-7


def fill_exactly(request: Request) -> Allocation:
    """Fill every unlocked entry so that the layers' costs add up to the least within budgets."""
    # What is exact is the sum; budgets in drop are of the sum as well.
    request = dataclasses.replace(request, predict=None)
    by_layer = readings(request)
    free, missing = units(request, by_layer)
    spending = Spending(request)
    strongest = filled(request, (unit.candidates[-1] for unit in free))
    broken = spending.broken(strongest, drops=False)
    if broken:
        found = _named(strongest, spending)
        found = out_of_reach(
            request,
            broken,
            found,
            reaches=lambda names: _reaches(request, by_layer, spending, names),
        )
    else:
        found = _solved(request, free, spending)
    return dataclasses.replace(found, unmeasured=missing)


def _named(plan: Plan, spending: Spending) -> Allocation:
    plan = dataclasses.replace(plan, strategy="dp")
    return Allocation(plan=plan, spent=spending.all(plan))


def _reaches(
    request: Request, by_layer: Readings, spending: Spending, names: Sequence[str]
) -> bool:
    plan = request.plan
    for name in names:
        plan = lock(plan, name, locked=False)
    opened = dataclasses.replace(request, plan=plan)
    free, _ = units(opened, by_layer)
    return not spending.broken(filled(opened, (unit.candidates[-1] for unit in free)), drops=False)


def _solved(request: Request, free: list[Unit], spending: Spending) -> Allocation:
    solution = solve(_problem(request, free, spending))
    if solution is None:
        return _without_drops(request, free, spending)
    chosen = _chosen(free, solution)
    found = _named(filled(request, chosen), spending)
    return dataclasses.replace(
        found, level=sum(item.value for item in chosen), message=_gap(solution, len(free))
    )


def _chosen(free: Sequence[Unit], solution: Solution) -> list[Candidate]:
    return [unit.candidates[at] for unit, at in zip(free, solution.chosen, strict=True)]


def _gap(solution: Solution, count: int) -> str:
    """Say how far the best plan may be from what was found; nothing where it was found."""
    if solution.gap <= _TIE * count:
        return ""
    share = solution.gap / max(abs(solution.value), 1e-12)
    return (
        f"the search was cut short: the least sum is {solution.value:.4g} so far, and no plan has "
        f"less than {solution.least:.4g} (a gap of at most {percent(share, digits=2)})"
    )


def _without_drops(request: Request, free: list[Unit], spending: Spending) -> Allocation:
    """Return the nearest plan where the budgets in drop do not hold."""
    sizes = tuple(budget for budget in request.budgets if not budget.is_drop)
    if sizes:
        asked = dataclasses.replace(request, budgets=sizes)
        solution = solve(_problem(asked, free, Spending(asked)))
        assert solution is not None, "the strongest choices meet the budgets of sizes"
        chosen = _chosen(free, solution)
    else:
        chosen = [unit.candidates[0] for unit in free]
    found = _named(filled(request, chosen), spending)
    drop = next(budget for budget in request.budgets if budget.is_drop)
    return drop_out_of_reach(found, drop, has_sizes=bool(sizes))


def _problem(request: Request, free: Sequence[Unit], spending: Spending) -> Problem:
    """Return the choice to be made: what is to be least, and what is limited."""
    sizes = [budget for budget in spending.limits if not budget.is_drop]
    quantities = [_costs(free) if sizes else _size(request, free, _lessened(request))]
    limits = []
    for budget, limit in spending.limits.items():
        if budget.is_drop:
            quantities.append(_drops(request, free))
            limits.append(limit + _SLACK)
        else:
            quantities.append(_size(request, free, budget.kind))
            limits.append((limit + _SLACK) * request.meter.dense(budget.kind))
    tables = []
    for place, parts in enumerate(quantities):
        for scope, part in parts.items():
            values = np.zeros((len(quantities), *part.shape))
            values[place] = part
            tables.append(Table(scope, values))
    return Problem([len(unit.candidates) for unit in free], tables, limits)


def _costs(free: Sequence[Unit]) -> _Parts:
    return {
        (place,): np.array(
            [
                item.value + _TIE * sum(_removed(unit, item)) / len(unit.names)
                for item in unit.candidates
            ]
        )
        for place, unit in enumerate(free)
    }


def _removed(unit: Unit, chosen: Candidate) -> list[float]:
    """Return how much a choice removes of each entry, squared, against the one that keeps most."""
    most = unit.candidates[0].kept
    return [(1 - chosen.kept[name] / most[name]) ** 2 for name in unit.names]


def _drops(request: Request, free: Sequence[Unit]) -> _Parts:
    """Return the predicted drops, which are added whatever the cost is."""
    assert request.points is not None
    by_curve = envelopes(request.points)

    def drop(chosen: Candidate) -> float:
        total = 0.0
        for name, kept in chosen.kept.items():
            entry = find(request.plan, name)
            curve = by_curve.get((chosen.criteria[name], entry.granularity, entry.layer))
            if curve is not None and kept < entry.total:
                total += curve.at((entry.total - kept) / entry.total)[0]
        return total

    return {
        (place,): np.array([drop(item) for item in unit.candidates])
        for place, unit in enumerate(free)
    }


def _lessened(request: Request) -> str:
    """Return the size that is to be least where none is limited."""
    kinds = {parse(entry.granularity).is_structured for entry in request.plan.entries}
    return "macs" if True in kinds else "params"


def _size(request: Request, free: Sequence[Unit], kind: str) -> _Parts:
    """Return a size as a sum of parts, of which each depends on few units."""
    unit_of = {name: place for place, unit in enumerate(free) for name in unit.names}
    choices = {
        name: [item.kept[name] for item in unit.candidates] for unit in free for name in unit.names
    }
    found: dict[tuple[int, ...], np.ndarray] = {(): np.array(request.meter.dense(kind))}
    for names, values in request.meter.amounts(request.plan, kind, choices).items():
        axes = [unit_of[name] for name in names]
        scope = tuple(sorted(set(axes)))
        # Entries of one unit are at one choice.
        rows = tuple(
            np.arange(len(free[axis].candidates)).reshape(
                [-1 if item == axis else 1 for item in scope]
            )
            for axis in axes
        )
        part = values.numpy()[rows]
        found[scope] = found[scope] + part if scope in found else part
    return found
