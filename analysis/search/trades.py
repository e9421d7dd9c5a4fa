"""Moves from plan to plan at a budget: one group gives units back, another pays for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.plans import find, least_kept, set_criterion, set_kept
from analysis.records import Plan, PlanEntry
from analysis.search.beliefs import Beliefs, Forecast

if TYPE_CHECKING:
    from analysis.search.alone import Curves

# Units that a group gives back, as shares of all that it has.
STEPS = (0.05, 0.1, 0.2, 0.4)
# Groups on either side of a trade: the most promising ones.
WIDTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What plans of a search have in common.

    Attributes:
        curves: Costs of single groups.
        fits: Whether a plan is within all budgets of size.
        share: What is left of the dense model after a plan, in the measure that counts.
        finish: Applies the constraints on kept counts.
        tied: Names of entries that keep equally many units.
    """

    curves: Curves
    fits: Callable[[Plan], bool]
    share: Callable[[Plan], float]
    finish: Callable[[Plan], Plan] = lambda plan: plan
    tied: tuple[tuple[str, ...], ...] = ()

    def keeping(self, plan: Plan, name: str, kept: int) -> Plan:
        """Return the plan with another number of kept units in an entry and those tied to it."""
        together = next((names for names in self.tied if name in names), (name,))
        for other in together:
            entry = find(plan, other)
            if not entry.locked:
                plan = set_kept(plan, other, min(max(kept, least_kept(entry)), entry.total))
        return self.finish(plan)

    def movable(self, plan: Plan) -> list[PlanEntry]:
        """Return the entries that a search may change."""
        return [
            entry
            for entry in plan.entries
            if not entry.locked and entry.criterion in self.curves.get(entry.name, {})
        ]

    def alone(self, entry: PlanEntry) -> float:
        """Return what an entry costs alone."""
        return self.curves[entry.name][entry.criterion].at(entry.kept)

    def change(self, old: Plan, new: Plan) -> dict[str, float]:
        """Return the change of single costs by entry, of entries that differ."""
        return {
            before.name: self.alone(after) - self.alone(before)
            for before, after in zip(old.entries, new.entries, strict=True)
            if (before.kept, before.criterion) != (after.kept, after.criterion)
            and before.name in self.curves
        }


@dataclass(frozen=True, slots=True)
class Trade:
    """A plan to try.

    Attributes:
        plan: The plan.
        change: Change of single costs by entry, from the plan that it comes from.
        forecast: What it is expected to change together.
    """

    plan: Plan
    change: Mapping[str, float]
    forecast: Forecast


def key_of(plan: Plan) -> str:
    """Return what tells plans of one search apart: criteria and kept counts."""
    return ",".join(f"{entry.criterion}:{entry.kept}" for entry in plan.entries)


def trades(problem: Problem, plan: Plan, beliefs: Beliefs) -> list[Trade]:
    """Return promising changes of a plan that fit the budgets, best first."""
    found: dict[str, Trade] = {}
    payers = _payers(problem, plan, beliefs)
    for richer, name in _givers(problem, plan, beliefs):
        if problem.fits(richer):
            _note(found, problem, plan, richer, beliefs)
            continue
        for payer in payers:
            if payer != name:
                _note(found, problem, plan, _paid(problem, richer, payer), beliefs)
    for other in _other_criteria(problem, plan):
        _note(found, problem, plan, other if problem.fits(other) else None, beliefs)
    return sorted(found.values(), key=lambda trade: trade.forecast.hope)


def _note(
    found: dict[str, Trade], problem: Problem, old: Plan, new: Plan | None, beliefs: Beliefs
) -> None:
    if new is None or not (change := problem.change(old, new)):
        return
    found[key_of(new)] = Trade(new, change, beliefs.forecast(change))


def _givers(problem: Problem, plan: Plan, beliefs: Beliefs) -> list[tuple[Plan, str]]:
    """Return plans with more units in one entry, those that gain most for their size first."""
    rated = []
    for entry in problem.movable(plan):
        for step in STEPS:
            kept = min(entry.total, entry.kept + max(1, round(step * entry.total)))
            richer = problem.keeping(plan, entry.name, kept)
            if kept > entry.kept and (change := problem.change(plan, richer)):
                grown = max(problem.share(richer) - problem.share(plan), 1e-9)
                rated.append((beliefs.forecast(change).hope / grown, richer, entry.name))
    rated.sort(key=lambda item: item[0])
    return [(richer, name) for _, richer, name in rated[: 2 * WIDTH]]


def _payers(problem: Problem, plan: Plan, beliefs: Beliefs) -> list[str]:
    """Return the entries that lose least for what they save."""
    rated = []
    for entry in problem.movable(plan):
        kept = max(least_kept(entry), entry.kept - max(1, round(STEPS[1] * entry.total)))
        poorer = problem.keeping(plan, entry.name, kept)
        if kept < entry.kept and (change := problem.change(plan, poorer)):
            saved = max(problem.share(plan) - problem.share(poorer), 1e-9)
            rated.append((beliefs.forecast(change).hope / saved, entry.name))
    rated.sort()
    return [name for _, name in rated[:WIDTH]]


def _paid(problem: Problem, plan: Plan, payer: str) -> Plan | None:
    """Take as few units of one entry as make a plan fit; None if there are not enough."""
    entry = find(plan, payer)

    def at(kept: int) -> Plan:
        return problem.keeping(plan, payer, kept)

    low, high = least_kept(entry), entry.kept - 1
    if high < low or not problem.fits(at(low)):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if problem.fits(at(middle)) else (low, middle - 1)
    return at(low)


def _other_criteria(problem: Problem, plan: Plan) -> Iterator[Plan]:
    for entry in problem.movable(plan):
        for criterion in problem.curves[entry.name]:
            if criterion != entry.criterion and entry.kept < entry.total:
                yield set_kept(set_criterion(plan, entry.name, criterion), entry.name, entry.kept)


def smaller(problem: Problem, plan: Plan, beliefs: Beliefs) -> list[Trade]:
    """Return plans that take units away until they fit, best first: from one entry, or several."""
    found: dict[str, Trade] = {}
    _note(found, problem, plan, _poorer(problem, plan, beliefs), beliefs)
    for payer in _payers(problem, plan, beliefs):
        _note(found, problem, plan, _paid(problem, plan, payer), beliefs)
    return sorted(found.values(), key=lambda trade: trade.forecast.hope)


def _poorer(problem: Problem, plan: Plan, beliefs: Beliefs) -> Plan | None:
    """Take units away where it costs least for what it saves, until a plan fits its budgets."""
    while not problem.fits(plan):
        payers = _payers(problem, plan, beliefs)
        if not payers:
            return None
        entry = find(plan, payers[0])
        kept = max(least_kept(entry), entry.kept - max(1, round(STEPS[0] * entry.total)))
        plan = problem.keeping(plan, entry.name, kept)
    return plan
