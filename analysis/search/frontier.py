"""The trade-off: the best plan that a search finds at each of several sizes, evaluated."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from analysis.edits import PreparedSubject
from analysis.measuring import Cancel, Slices, measure
from analysis.plans import meter, removed_model, resolve
from analysis.records import Plan, Sums
from analysis.recovery import recovered_model, repaired_plan
from analysis.repairs import NO_REPAIR
from analysis.search.keeping import kept_sums
from analysis.search.records import LEVELS, Aim, SearchUpdate
from analysis.search.search import iter_search
from pruners.errors import InputError, OutOfReachError

PLAN = "plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """A plan of a trade-off, measured on the evaluation data.

    Attributes:
        level: The size that it was searched for, a share of the dense model.
        plan: The plan with its repair.
        params: Parameters that are left, a share of the dense model.
        macs: MACs that are left, likewise.
        score: The task's score.
        low: Lower end of its 95 % interval.
        high: Upper end.
        drop: What it lost against dense on the same samples.
        drop_low: Lower end of its paired 95 % interval.
        drop_high: Upper end.
        sums: Counts behind them.
    """

    level: float
    plan: Plan
    params: float
    macs: float
    score: float
    low: float
    high: float
    drop: float
    drop_low: float
    drop_high: float
    sums: Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierUpdate:
    """What a trade-off tells on the way.

    Attributes:
        level: The size at hand.
        repair: The repair at hand.
        place: Of this size and repair among all, from 0.
        total: How many there are.
        search: How far its search is; None once its plan is evaluated, or it is out of reach.
        points: What was measured so far.
        beyond: The sizes that are out of reach, and why; they are left out.
    """

    level: float
    repair: str
    place: int
    total: int
    search: SearchUpdate | None
    points: tuple[FrontierPoint, ...]
    beyond: Mapping[float, str] = field(default_factory=dict)


def iter_frontier(
    prepared: PreparedSubject,
    start: Plan,
    aim: Aim,
    levels: Sequence[float] = LEVELS,
    *,
    folder: Path | None = None,
    cancel: Cancel = lambda: False,
) -> Iterator[FrontierUpdate]:
    """Search a plan at each size, raw and after the repair of the start, and evaluate each.

    Searches and points are kept: the same call again measures only what is missing. A size that no
    plan reaches is told and left out.

    Args:
        prepared: The subject; searches see other samples than those that are evaluated.
        start: As `iter_search`.
        aim: What each search is asked for; its budgets are replaced by the size at hand.
        levels: Shares of the dense model in the aim's measure, each above 0 and below 1, to six
            digits.
        folder: As `iter_search`.
        cancel: Asked between plans; then the plan at hand is not measured.

    Raises:
        InputError: A level is out of range, none is in reach, or as `iter_search`.
    """
    sizes = _sizes(levels)
    repairs = dict.fromkeys((start.repair, NO_REPAIR))
    jobs = [(repair, level) for repair in repairs for level in sizes]
    points: tuple[FrontierPoint, ...] = ()
    beyond: dict[float, str] = {}
    for place, (repair, level) in enumerate(jobs):
        if level in beyond:
            continue
        told = FrontierUpdate(
            level=level,
            repair=repair,
            place=place,
            total=len(jobs),
            search=None,
            points=points,
            beyond=dict(beyond),
        )
        recipe = dataclasses.replace(aim.recipe, budgets=(f"{aim.measure}={level:g}",))
        asked = dataclasses.replace(aim, recipe=recipe)
        begin = dataclasses.replace(start, repair=repair)
        last: SearchUpdate | None = None
        try:
            for last in iter_search(prepared, begin, asked, folder=folder, cancel=cancel):
                yield dataclasses.replace(told, search=last)
        except OutOfReachError as error:
            beyond[level] = str(error)
            if len(beyond) == len(sizes):
                raise
            yield dataclasses.replace(told, beyond=dict(beyond))
            continue
        if cancel() or last is None or last.plan is None:
            return
        points += (evaluated_point(prepared, last.plan, level, folder=folder),)
        yield dataclasses.replace(told, points=points)


def _sizes(levels: Sequence[float]) -> list[float]:
    """Return sizes as budgets say them, the largest first, each once."""
    levels = [float(f"{level:g}") for level in levels]
    if not levels or any(not 0 < level < 1 for level in levels):
        raise InputError(f"the sizes of a trade-off are shares above 0 and below 1, found {levels}")
    return sorted(set(levels), reverse=True)


def evaluated_point(
    prepared: PreparedSubject, plan: Plan, level: float, *, folder: Path | None = None
) -> FrontierPoint:
    """Measure the model of a plan, repaired as it says, on the evaluation data.

    Args:
        prepared: The subject.
        plan: The plan.
        level: The size that it was searched for.
        folder: What was measured is kept there, and not measured again; None: nowhere.
    """
    plan, task = resolve(prepared, plan), prepared.subject.task
    sums = kept_sums(folder, prepared, plan, lambda: _evaluated(prepared, plan))
    size = meter(prepared)
    (params, macs), (all_params, all_macs) = size.sizes(plan), size.predict({})
    score, drop = task.score_interval(sums, 0.95), task.drop_interval(sums, 0.95)
    return FrontierPoint(
        level=level,
        plan=plan,
        params=params / all_params,
        macs=macs / all_macs,
        score=task.score(sums),
        low=score.low,
        high=score.high,
        drop=task.drop(sums),
        drop_low=drop.low,
        drop_high=drop.high,
        sums=sums,
    )


def _evaluated(prepared: PreparedSubject, plan: Plan) -> Sums:
    split = prepared.subject.evaluation
    assert split is not None
    recovery = repaired_plan(prepared, plan)
    small = (
        removed_model(prepared, plan) if recovery is None else recovered_model(prepared, recovery)
    )
    slices, sums = Slices(split, prepared.batch_size), Sums()
    for found in measure(prepared, {PLAN: small}, slices, prepared.subject.task):
        sums += found.require(PLAN)
    return sums
