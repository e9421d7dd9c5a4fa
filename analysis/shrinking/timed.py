"""Searches for a time: what was found is measured, and the search goes on until the time holds."""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from analysis import search
from analysis.edits import PreparedSubject
from analysis.measuring import Cancel
from analysis.records import Plan
from analysis.search import Aim, SearchUpdate, Timing
from pruners.errors import InputError

# Searches, each with the estimate as the one before corrected it.
ROUNDS = 3
# Of the trials, what a search has that goes on; of the time that is left, what the first one has.
LATER, FIRST = 1 / 3, 0.6
NOTHING = "by the corrected estimate no plan is within the time"
DONE, MEASURING = "Done", "Measuring the time"
GOES_ON = "the estimate is corrected by that, and the search goes on"


def iter_timed(
    prepared: PreparedSubject,
    start: Plan,
    aim: Aim,
    *,
    folder: Path | None = None,
    cancel: Cancel = lambda: False,
) -> Iterator[SearchUpdate]:
    """Search as `iter_search`; with a budget in latency until what is measured holds.

    A search goes by an estimate from times of single groups. Here the models that it finds are
    measured, and what was saved of the estimate corrects it, in either direction. The last update
    has the slowest plan that holds, else the fastest one; it tells the measured time, and says so
    where that is more than what was asked for.

    Args:
        prepared: The subject.
        start: As `analysis.search.iter_search`.
        aim: What is looked for; its time is that of all searches together.
        folder: As `iter_search`.
        cancel: Asked between plans.

    Raises:
        InputError: As `iter_search`.
    """
    if not search.limits_time(aim.recipe):
        yield from search.iter_search(prepared, start, aim, folder=folder, cancel=cancel)
        return
    yield from _Timed(prepared, start, aim, folder, cancel).run()


class _Timed:
    """Searches until a measured time holds; see `iter_timed`."""

    def __init__(
        self,
        prepared: PreparedSubject,
        start: Plan,
        aim: Aim,
        folder: Path | None,
        cancel: Cancel,
    ) -> None:
        self._prepared, self._start, self._aim = prepared, start, aim
        self._folder, self._cancel = folder, cancel
        self._began = time.perf_counter()
        # A search that is taken up again counts its own time.
        self._spent: defaultdict[float, float] = defaultdict(float)
        self._last: SearchUpdate | None = None
        self._best: tuple[Timing, SearchUpdate] | None = None

    def run(self) -> Iterator[SearchUpdate]:
        """Search, measure, correct the estimate, and search again."""
        for number in range(ROUNDS):
            first = number == 0
            trials = self._aim.trials if first else int(LATER * self._aim.trials)
            try:
                yield from self._search(trials, FIRST if first else 1.0)
            except InputError:
                # By the corrected estimate it is out of reach: what comes nearest is the answer.
                if self._best is None:
                    raise
                self._best = self._best[0], _ended(self._best[1])
                break
            timing = self._note()
            if timing is None or self._last is None:
                break
            if timing.is_near or self._cancel() or number == ROUNDS - 1:
                break
            news = f"{timing.text}: {GOES_ON}."
            yield dataclasses.replace(self._last, stage=MEASURING, news=news)
            self._correct(timing)
        if self._best is not None:
            timing, update = self._best
            yield dataclasses.replace(update, news=timing.told)

    def _note(self) -> Timing | None:
        """Measure what the last search found; None if it found nothing."""
        if self._last is None or self._last.plan is None:
            return None
        timing = search.timing_of(self._prepared, self._last.plan, self._aim)
        assert timing is not None
        if self._best is None or timing.rank > self._best[0].rank:
            self._best = timing, self._last
        return timing

    def _search(self, trials: int, share: float) -> Iterator[SearchUpdate]:
        """Search with so many trials, in a share of the time that is left."""
        aim, began = self._aim, time.perf_counter()
        seconds = aim.seconds
        if seconds is not None:
            left = max(0.0, seconds - (began - self._began))
            seconds = share * left + self._spent[aim.saving]
        asked = dataclasses.replace(aim, trials=trials, seconds=seconds)
        self._last = None
        try:
            for update in search.iter_search(
                self._prepared, self._start, asked, folder=self._folder, cancel=self._cancel
            ):
                self._last = update
                is_over = update.stage == DONE
                yield dataclasses.replace(update, stage=MEASURING) if is_over else update
        finally:
            self._spent[aim.saving] += time.perf_counter() - began

    def _correct(self, timing: Timing) -> None:
        self._aim = dataclasses.replace(self._aim, saving=timing.corrected(self._aim.saving))


def _ended(update: SearchUpdate) -> SearchUpdate:
    """Return an update whose search goes no further."""
    return dataclasses.replace(update, state=dataclasses.replace(update.state, finished=NOTHING))
