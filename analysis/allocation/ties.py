"""What changes at one level: as much of it as the budgets need.

Drops that are counted on few samples are often equal, so that many layers change at one level, and
a budget may lie between that level and the next milder one. Then a part of the changes is enough.
The parts are measured steps of a layer, taken back one after the other as long as the budgets of
sizes hold: first those whose cost rises most for what they save; of equal ones those at the
largest ratio, then those of earlier entries. Where that ends over 1 % of the dense model below the
limit, the steps of the layers that save most are tried first instead, and the nearer plan is
taken. Budgets in drop alone are filled from the milder level, by the first order reversed.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from analysis.allocation.bisection import Fill, Spending, drop_out_of_reach
from analysis.allocation.strategy import Allocation, Request
from analysis.plans import set_kept
from analysis.records import Plan, PlanEntry

_SLACK = 1e-12
# Of the dense model: what is as near is near enough.
NEAR = 0.01


@dataclass(frozen=True, slots=True)
class Choice:
    """What entries may keep at a level.

    Attributes:
        kept: Kept count by entry.
        cost: What it may cost.
    """

    kept: Mapping[str, int]
    cost: float


@dataclass(frozen=True, slots=True)
class Step:
    """A removal that can be taken back by itself.

    Attributes:
        kept: What its entries keep without it.
        left: What they keep with it.
        rate: How far the cost rises for what is saved.
        ratio: Largest share that goes of one of its entries.
        saved: What all steps of its entries save, as a share of the dense model.
    """

    kept: Mapping[str, int]
    left: Mapping[str, int]
    rate: float
    ratio: float
    saved: float


@dataclass(frozen=True, slots=True)
class _Stretch:
    rise: float
    saved: float
    steps: tuple[tuple[Choice, Choice], ...]

    @property
    def rate(self) -> float:
        return self.rise / max(self.saved, _SLACK)


def sizes_of(request: Request) -> Request:
    """Return the request with its budgets of sizes alone."""
    sizes = tuple(budget for budget in request.budgets if not budget.is_drop)
    return dataclasses.replace(request, budgets=sizes)


def steps_of(request: Request, plan: Plan, choices: Sequence[Choice]) -> list[Step]:
    """Cut the removals of entries into steps, and rate them.

    Args:
        request: What was asked; says what saves.
        plan: The plan whose other entries say how much is saved.
        choices: From the mildest to the strongest.

    Returns:
        From the mildest to the strongest, with rates that never fall: what rises first and is flat
        then has one rate.
    """
    kinds = [budget.kind for budget in sizes_of(request).budgets] or ["params"]
    totals = {entry.name: entry.total for entry in plan.entries}

    def share(choice: Choice) -> float:
        changed = plan
        for name, kept in choice.kept.items():
            changed = set_kept(changed, name, kept)
        return sum(request.meter.share(changed, kind) for kind in kinds)

    shares = [share(choice) for choice in choices]
    found: list[_Stretch] = []
    for place in range(1, len(choices)):
        mild, strong = choices[place - 1 : place + 1]
        rise = max(strong.cost - mild.cost, 0.0)
        item = _Stretch(rise, shares[place - 1] - shares[place], ((mild, strong),))
        while found and item.rate <= found[-1].rate:
            last = found.pop()
            item = _Stretch(last.rise + item.rise, last.saved + item.saved, last.steps + item.steps)
        found.append(item)
    return [
        Step(mild.kept, strong.kept, item.rate, ratio, shares[0] - shares[-1])
        for item in found
        for mild, strong in item.steps
        for ratio in [max(1 - kept / totals[name] for name, kept in strong.kept.items())]
    ]


def between(
    request: Request,
    found: Allocation,
    *,
    levels: Sequence[float],
    fill: Fill,
    steps: Callable[[Plan, Plan], Iterable[Step]],
    nested: bool = False,
) -> Allocation:
    """Take back, or add, what the budgets leave room for between two neighbouring levels.

    Args:
        request: What was asked.
        found: The level that was chosen, by `to_budgets`.
        levels: All levels, rising.
        fill: Fills the plan at a level.
        steps: Returns the steps between a milder and a stronger plan.
        nested: Whether what a milder budget removes is to be a part of what a stronger one does:
            then the order of savings is not tried.

    Returns:
        What was found where nothing fits.
    """
    sizes = sizes_of(request)
    if found.level is None or Spending(sizes).broken(found.plan):
        return found
    place = levels.index(found.level)
    if sizes.budgets:
        milder = fill(request, levels[place - 1]) if place else _whole(request)
        gap = _Gap(sizes, start=found.plan, end=milder)
        order = sorted(steps(milder, found.plan), key=lambda step: (-step.rate, -step.ratio))
        counts = gap.as_far([step.kept for step in order])
        if not nested and room(sizes, gap.at(counts)) > NEAR:
            order.sort(key=lambda step: (-step.saved, -step.ratio))
            other = gap.as_far([step.kept for step in order])
            counts = min(counts, other, key=lambda kept: room(sizes, gap.at(kept)))
    else:
        # Of predicted drops even the mildest level may lose too much.
        mild, strong = (_whole(request), place) if not found.feasible else (found.plan, place + 1)
        if strong == len(levels) or Spending(request).broken(mild):
            return found
        gap = _Gap(request, start=mild, end=fill(request, levels[strong]))
        order = sorted(steps(gap.start, gap.end), key=lambda step: (step.rate, step.ratio))
        counts = gap.as_far([step.left for step in order])
        if not found.feasible:
            return _changed(request, found, gap.at(counts))
    return _changed(request, found, gap.at(counts)) if counts else found


def room(request: Request, plan: Plan) -> float:
    """Return how far below its tightest limit a plan's size is, as a share of the dense model."""
    limits = Spending(sizes_of(request)).limits
    return min(limit - request.meter.share(plan, budget.kind) for budget, limit in limits.items())


def _whole(request: Request) -> Plan:
    plan = request.plan
    for entry in plan.entries:
        if not entry.locked:
            plan = set_kept(plan, entry.name, entry.total)
    return request.finish(plan)


def _changed(request: Request, found: Allocation, plan: Plan) -> Allocation:
    """Return a plan between two levels, and say so."""
    spending = Spending(request)
    message = "several removals come at this level: the budget takes a part of them"
    near = Allocation(plan=plan, spent=spending.all(plan), level=found.level, message=message)
    broken = spending.broken(plan)
    return drop_out_of_reach(near, broken[0], has_sizes=True) if broken else near


@dataclass(frozen=True, slots=True)
class _Gap:
    """Two plans, and what lies between them.

    Attributes:
        request: Its budgets hold at the start, and not at the end.
        start: Where the search begins.
        end: What it goes to.
    """

    request: Request
    start: Plan
    end: Plan

    def at(self, counts: Mapping[str, int]) -> Plan:
        """Return the plan with some counts in the place of those at the start."""
        entries = [
            there if counts.get(here.name) == there.kept else self._kept(here, there, counts)
            for here, there in zip(self.start.entries, self.end.entries, strict=True)
        ]
        return self.request.finish(dataclasses.replace(self.start, entries=tuple(entries)))

    @staticmethod
    def _kept(here: PlanEntry, there: PlanEntry, counts: Mapping[str, int]) -> PlanEntry:
        kept = counts.get(here.name, here.kept)
        if kept == here.kept:
            return here
        # Between two points the criterion is the one that was followed to the stronger.
        strong = min(here, there, key=lambda entry: entry.kept)
        ratio = (here.total - kept) / here.total
        return dataclasses.replace(strong, kept=kept, ratio=ratio, indices=None)

    def as_far(self, steps: Sequence[Mapping[str, int]]) -> dict[str, int]:
        """Take steps in turn, each wherever the budgets hold after it; return the counts.

        Once a step of an entry does not fit, its later ones do not either.
        """
        spending, taken, rest = Spending(self.request), dict[str, int](), list(steps)
        while rest:
            known = taken

            def breaks(count: int) -> bool:
                return bool(spending.broken(self.at(known | _joined(rest[:count]))))  # noqa: B023

            fits = bisect.bisect_left(range(1, len(rest) + 1), True, key=breaks)
            taken = known | _joined(rest[:fits])
            refused = rest[fits].keys() if fits < len(rest) else set()
            rest = [step for step in rest[fits + 1 :] if not step.keys() & refused]
        return taken


def _joined(steps: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return {name: kept for step in steps for name, kept in step.items()}
