"""Search a plan by measuring: trades between groups, each tried after the repair.

It starts from the best plan that the other strategies find on curves measured on the search data,
and goes from plan to plan by a sequential paired test. What it has found so far is kept after each
trial; a search that was stopped goes on to the same plan.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.edits import PreparedSubject
from analysis.measuring import Cancel
from analysis.plans import require_fit
from analysis.records import Plan, Progress
from analysis.search.alone import measured_alone, packed, read_curves, sum_alone, unpacked
from analysis.search.beliefs import Beliefs
from analysis.search.data import effort_of, on_search_data, search_data
from analysis.search.goal import Goal, goal_of
from analysis.search.judge import Judge, Scored, Scorer
from analysis.search.keeping import Keeper
from analysis.search.records import Aim, SearchUpdate, Tried, choices_of
from analysis.search.starts import starts
from analysis.search.trades import Problem, Trade, key_of, smaller, trades
from pruners.errors import InputError, UnmetError

POINTS = "points of searches"
TIME_IS_OVER = "the time is over"
# Of the time, what the curves of single layers may take: plans are measured in the rest.
CURVES_SHARE = 0.5
# A change that is hoped to gain less than this share of the cost is not tried.
WORTH = 1e-3
# By how much a plan that holds is made smaller: at first, and at least; and how often with each.
STRIDE, LEAST_STRIDE, ATTEMPTS = 0.08, 0.01, 2
# Trials at one size before a smaller one is tried again.
TRIALS_A_SIZE = 6


class Search:
    """Looks for a plan; see `iter_search`."""

    def __init__(
        self,
        prepared: PreparedSubject,
        start: Plan,
        aim: Aim,
        *,
        folder: Path | None = None,
        cancel: Cancel = lambda: False,
    ) -> None:
        if not any(not entry.locked for entry in start.entries):
            raise InputError("a search needs layers that are not locked")
        self._start = require_fit(prepared, start)
        self._aim, self._cancel = aim, cancel
        self._searched = on_search_data(prepared, search_data(prepared.subject))
        self._judge = Judge(self._searched, start.repair)
        # Searches of other budgets read the same curves.
        self._known_points: dict[str, pd.DataFrame] = prepared.once(POINTS, dict)
        self._goal: Goal = goal_of(self._searched, self._start, aim)
        self._keeper = Keeper(folder, self._searched, self._start, aim)
        self._scored: Scored | None = None
        self._state = self._keeper.load()
        self._began = time.perf_counter() - self._state.seconds
        self._tried = list(self._state.tried)

    def run(self) -> Iterator[SearchUpdate]:
        """Yield what was found so far after each plan that was measured."""
        if self._state.best is None:
            yield from self._begin()
        if self._state.best is None:
            return
        yield from self._go_on()

    def _go_on(self) -> Iterator[SearchUpdate]:
        """Go on from the best plan."""
        self._problem = Problem(
            curves=unpacked(self._state.curves),
            fits=self._fits,
            share=self._goal.share,
            finish=self._goal.finish,
            tied=self._goal.tied,
        )
        names = [entry.name for entry in self._start.entries]
        self._beliefs = Beliefs.known(names, self._state.factors, self._state.covariance)
        if not self._state.finished and self._goal.max_drop is None:
            yield from self._improve(bounded=False)
        elif not self._state.finished:
            # Trades amid which it was stopped come first.
            yield from self._improve(bounded=True)
            if not self._state.descends:
                yield from self._reach()
            yield from self._descend()
        yield self._update("Done", self._progress())

    # Where it begins.

    def _begin(self) -> Iterator[SearchUpdate]:
        points = yield from self._measured_alone()
        if points is None:
            return
        scorer = self._keeper.scores(self._judge)
        best = yield from self._first_plans(points, scorer)
        if self._cancel():
            return
        if self._is_late():
            yield self._late(best)
            return
        curves = read_curves(points, self._start)
        best = self._nearest() if best is None else best
        scored = scorer.score(self._plan(self._tried[best]))
        alone = sum_alone(curves, scored.plan)
        names = [entry.name for entry in self._start.entries]
        beliefs = Beliefs(names, scale=scored.cost / alone if alone > 0 else 1.0)
        self._state = dataclasses.replace(
            self._state,
            curves=packed(curves),
            level=self._tried[best].share,
            best=best,
        )
        self._keep(beliefs)

    def _measured_alone(self) -> Generator[SearchUpdate, None, pd.DataFrame | None]:
        """Return the points of every layer alone; None if it was stopped."""
        keeper, is_late = self._keeper, partial(self._is_late, CURVES_SHARE)
        points = self._known_points.get(keeper.curves)
        if points is not None:
            return points
        measured = partial(measured_alone, self._searched, self._start, self._aim.criteria)
        for found in measured(cancel=self._cancel, is_late=is_late, keeping=keeper.points):
            if isinstance(found, Progress):
                yield self._update("Measuring every layer alone", found)
            else:
                points = found
        if points is not None and not is_late():
            self._known_points[keeper.curves] = points
        return points

    def _first_plans(
        self, points: pd.DataFrame, scorer: Scorer
    ) -> Generator[SearchUpdate, None, int | None]:
        """Return the place of the best plan of the other strategies; None if none keeps to all."""
        self._tried, best = [], None

        # However late it is, one plan is measured.
        def ends() -> bool:
            return self._cancel() or bool(self._tried and self._is_late())

        for step in starts(self._goal, points, scorer, ends):
            self._tried.append(self._note(step.scored, step.origin, accepted=step.is_best))
            best = len(self._tried) - 1 if step.is_best else best
            if step.holds:
                held = min(self._state.held, self._tried[-1].share)
                self._state = dataclasses.replace(self._state, held=held)
            progress = Progress(len(self._tried), None, "plans")
            yield self._update("Measuring first plans", progress, best)
        return best

    def _late(self, best: int | None) -> SearchUpdate:
        """Return what the first plans came to; with more time it goes through them anew."""
        if best is None:
            raise self._unmet()
        self._state = dataclasses.replace(
            self._state, tried=tuple(self._tried), finished=TIME_IS_OVER
        )
        return self._update("Done", Progress(len(self._tried), None, "plans"), best)

    def _nearest(self) -> int:
        """Return the plan that fits the sizes and loses least, by place."""
        places = range(len(self._tried))
        fitting = [at for at in places if self._goal.fits(self._plan(self._tried[at]))]
        return min(fitting, key=lambda at: self._tried[at].cost)

    def _unmet(self) -> InputError:
        nearest = self._plan(self._tried[self._nearest()])
        text = self._goal.unmet(self._judge.score(nearest), held=self._state.held)
        # With time left there is nothing more to try.
        return UnmetError(text) if self._is_late() else InputError(text)

    # How it goes on.

    def _reach(self) -> Iterator[SearchUpdate]:
        """Trade at the size that was asked for until the drop holds.

        Raises:
            InputError: It does not.
        """
        while not self._holds(self._best):
            before = self._state.trials
            self._state = dataclasses.replace(self._state, left=TRIALS_A_SIZE)
            yield from self._improve(bounded=True)
            if self._cancel():
                return
            if self._state.trials == before and not self._holds(self._best):
                raise self._unmet()

    def _improve(self, *, bounded: bool) -> Iterator[SearchUpdate]:
        """Try trades at the present size, as long as there are promising ones.

        Args:
            bounded: At most as many as the state says that are left.
        """
        while (self._state.left or not bounded) and self._goes_on():
            trade = self._next_trade()
            if trade is None:
                if not bounded:
                    self._finish("no promising change is left")
                self._state = dataclasses.replace(self._state, left=0)
                return
            self._try(trade)
            yield self._update("Trading between layers", self._progress())

    def _next_trade(self) -> Trade | None:
        trade = self._untried(trades(self._problem, self._best.plan, self._beliefs))
        is_promising = trade is not None and trade.forecast.hope < -WORTH * self._best.cost
        return trade if is_promising else None

    def _untried(self, options: list[Trade]) -> Trade | None:
        known = {self._key(item) for item in self._tried}
        return next((trade for trade in options if key_of(trade.plan) not in known), None)

    def _try(self, trade: Trade) -> None:
        scored = self._judge.score(trade.plan, self._best)
        shift = float((scored.costs - self._best.costs[: len(scored.costs)]).mean())
        self._beliefs.learn(trade.change, shift, scored.error)
        is_better = bool(scored.wins)
        self._tried.append(self._note(scored, "trade", accepted=is_better))
        state = self._state
        self._state = dataclasses.replace(
            state, trials=state.trials + 1, left=max(state.left - 1, 0)
        )
        if is_better:
            self._accept(scored)
        self._keep(self._beliefs)

    def _descend(self) -> Iterator[SearchUpdate]:
        """Get smaller while the drop holds; where it does not, improve and try again."""
        self._state = dataclasses.replace(self._state, descends=True)
        while self._goes_on():
            removed = 1 - self._goal.share(self._best.plan)
            first = effort_of(self._searched.subject).first_stride(STRIDE, removed)
            stride = first * 0.5 ** (self._state.failures // ATTEMPTS)
            if stride < first * LEAST_STRIDE / STRIDE:
                self._finish("no smaller plan holds the drop")
                return
            target = self._goal.share(self._best.plan) * (1 - stride)
            if not self._gets_below(target):
                failures = self._state.failures + 1
                left = 0 if failures % ATTEMPTS else TRIALS_A_SIZE
                self._state = dataclasses.replace(self._state, failures=failures, left=left)
            self._keep(self._beliefs)
            yield self._update("Making the model smaller", self._progress())
            yield from self._improve(bounded=True)

    def _gets_below(self, target: float) -> bool:
        """Try the most promising plan that leaves less than a share; return whether it holds."""
        problem = dataclasses.replace(self._problem, fits=partial(self._is_below, target))
        trade = self._untried(smaller(problem, self._best.plan, self._beliefs))
        if trade is None:
            return False
        scored = self._judge.score(trade.plan)
        shift = scored.costs - self._best.costs
        error = float(shift.std() / len(shift) ** 0.5)
        self._beliefs.learn(trade.change, float(shift.mean()), error)
        holds = self._holds(scored)
        self._tried.append(self._note(scored, "smaller", accepted=holds))
        self._state = dataclasses.replace(self._state, trials=self._state.trials + 1)
        if holds:
            self._accept(scored)
            level = self._goal.share(trade.plan)
            self._state = dataclasses.replace(self._state, level=level, failures=0)
        return holds

    # What it knows.

    @property
    def _best(self) -> Scored:
        """The plan that it stands at; one that goes no further measures it not again."""
        if self._scored is None:
            assert self._state.best is not None
            self._scored = self._judge.score(self._plan(self._state.tried[self._state.best]))
        return self._scored

    def _holds(self, scored: Scored) -> bool:
        """Return whether a plan holds the drop, by all plans that were measured to the end."""
        whole, key = scored.sums.samples, key_of(scored.plan)
        others = [
            (item.cost, item.drop)
            for item in self._tried
            if item.samples == whole and self._key(item) != key
        ]
        return self._goal.holds(scored, others)

    def _accept(self, scored: Scored) -> None:
        self._scored = scored
        self._beliefs.drift()
        self._state = dataclasses.replace(self._state, best=len(self._tried) - 1)

    def _fits(self, plan: Plan) -> bool:
        if self._goal.max_drop is not None and not self._is_below(self._state.level, plan):
            return False
        return self._goal.fits(plan)

    def _is_below(self, level: float, plan: Plan) -> bool:
        return self._goal.share(plan) <= level + 1e-9

    def _goes_on(self) -> bool:
        if self._cancel():
            return False
        why = TIME_IS_OVER if self._is_late() else ""
        if self._state.trials >= self._aim.trials:
            why = "all trials are done"
        # Not kept: with more trials or time it would go on.
        self._state = dataclasses.replace(self._state, finished=why)
        return not why

    def _is_late(self, share: float = 1.0) -> bool:
        """Return whether a share of the time that there is has passed."""
        limit = self._aim.seconds
        return limit is not None and time.perf_counter() - self._began >= share * limit

    def _finish(self, why: str) -> None:
        self._state = dataclasses.replace(self._state, finished=why)
        self._keep(self._beliefs)

    def _keep(self, beliefs: Beliefs) -> None:
        self._state = dataclasses.replace(
            self._state,
            tried=tuple(self._tried),
            factors=tuple(beliefs.factors.tolist()),
            covariance=tuple(tuple(row) for row in beliefs.covariance.tolist()),
            seconds=time.perf_counter() - self._began,
        )
        self._keeper.save(self._state)

    def _note(self, scored: Scored, origin: str, *, accepted: bool) -> Tried:
        return Tried(
            choices=choices_of(scored.plan),
            share=self._goal.share(scored.plan),
            cost=scored.cost,
            drop=self._searched.subject.task.drop(scored.sums),
            samples=scored.sums.samples,
            origin=origin,
            accepted=accepted,
        )

    def _plan(self, item: Tried) -> Plan:
        return item.plan(self._start, self._aim.recipe)

    def _key(self, item: Tried) -> str:
        return key_of(self._plan(item))

    def _progress(self) -> Progress:
        return Progress(self._state.trials, self._aim.trials, "plans")

    def _update(self, stage: str, progress: Progress, best: int | None = None) -> SearchUpdate:
        best = self._state.best if best is None else best
        shown = None if best is None else self._tried[best]
        return SearchUpdate(
            stage=stage,
            progress=progress,
            plan=None if shown is None else self._plan(shown),
            share=None if shown is None else shown.share,
            drop=None if shown is None else shown.drop,
            state=self._state,
        )


def iter_search(
    prepared: PreparedSubject,
    start: Plan,
    aim: Aim,
    *,
    folder: Path | None = None,
    cancel: Cancel = lambda: False,
) -> Iterator[SearchUpdate]:
    """Search a plan, and yield what was found so far after each plan that was measured.

    Args:
        prepared: The subject; what is evaluated is not looked at.
        start: Lists an entry for each prunable target; locked entries stay; its repair is what
            plans are scored after.
        aim: What is looked for.
        folder: Where it is kept after each plan, so that the same call goes on; None: nowhere.
        cancel: Asked between plans.

    Raises:
        InputError: There is no data to search on, a budget cannot be met, or nothing may be moved.
            Where no plan is as small as asked for, an `OutOfReachError`.
    """
    yield from Search(prepared, start, aim, folder=folder, cancel=cancel).run()
