"""From a goal to a plan: search, and where that is asked for train what was found and judge it.

A training gives back much of what a search lost. With a drop as the goal the search before it may
therefore lose more, and the trained plan has to hold the drop; if it does not, a stricter search
follows, in the end one for the drop itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from analysis import plans, search
from analysis.allocation import asked_drop, with_drop
from analysis.edits import PreparedSubject
from analysis.measuring import Cancel
from analysis.records import Plan, Progress
from analysis.recovery.training import TrainingRecipe, open_training_data
from analysis.retraining import RoundUpdate, Training, given_recipe, iter_rounds
from analysis.search import SEARCHES, Aim, SearchUpdate, TrainedJudge
from analysis.shrinking.timed import iter_timed
from analysis.subjects.data import Split
from pruners.errors import CancelledError, InputError

# Checkpoints of trainings, in the folder of the searches.
TRAINING = "training"
# How many times the asked drop the first search before a training may lose: an epoch on many
# samples gives back two thirds of what was lost.
LOOSER = 3.0
ASKED = 1.0
# Trainings at most; the last one is of a plan that holds without.
MOST = 3
# The second search is stricter by as much as the first trained plan missed, and a little more; what
# is hardly looser than the goal is not worth a training of its own.
MARGIN, LEAST_LOOSER = 0.95, 1.3
STEPS = "steps"  # what the progress of a training counts
# Of the time for searching that is left, what a search that is not the last one takes.
SHARE = 0.5
USELESS = "more training data may help; the answer is searched without training"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How what a search finds is trained.

    Attributes:
        preset: One of `PRESETS`.
        data: Address of the training data; empty for those that come with the data.
        roots: Folders below which they may lie; None allows everything.
    """

    preset: str
    data: str = ""
    roots: tuple[Path, ...] | None = None

    def recipe(self) -> TrainingRecipe:
        """Return the recipe.

        Raises:
            UnknownNameError: No such preset.
        """
        return given_recipe({"preset": self.preset, "train_data": self.data or None})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnswerUpdate:
    """What is told on the way to an answer.

    Attributes:
        stage: What is being done, for a person.
        progress: How far that is.
        search: Where a search is; None while there is none.
        training: Where a training is; None while there is none.
        news: What came to its end, one sentence; else empty.
        plan: At the end, the answer; else None.
        stopped: Whether somebody ended it early.
    """

    stage: str
    progress: Progress = field(default_factory=Progress)
    search: SearchUpdate | None = None
    training: RoundUpdate | None = None
    news: str = ""
    plan: Plan | None = None
    stopped: bool = False


Steps = Generator[AnswerUpdate, None, tuple[Plan, bool]]


class _Answering:
    """Looks for an answer; see `iter_answer`."""

    def __init__(
        self,
        prepared: PreparedSubject,
        start: Plan,
        aim: Aim,
        wish: Wish | None,
        folder: Path,
        cancel: Cancel,
    ) -> None:
        self._prepared, self._start, self._aim = prepared, start, aim
        self._wish, self._folder, self._cancel = wish, folder, cancel
        self._words = prepared.subject.task.words
        self._recipe = None if wish is None else wish.recipe()
        self._drop = asked_drop(aim.recipe)
        self._searching = 0.0
        self._before = 0.0  # the drop of what was searched last, on the search data

    def steps(self) -> Steps:
        """Search, and train if that is wished; return the answer and whether it was stopped."""
        if self._wish is None or self._recipe is None:
            return (yield from self._searched(ASKED))
        judge = None
        if self._drop is not None:
            judge = TrainedJudge(self._prepared, self._start, self._aim)
        apart = None if judge is None else judge.split
        yield AnswerUpdate(stage="Reading the training data")
        # What cannot be trained on is found before the search, not after it.
        data = open_training_data(
            self._prepared,
            self._recipe,
            seed=self._start.subject.seed,
            roots=self._wish.roots,
            apart=apart,
        )
        yield AnswerUpdate(stage="Reading the training data", news=" ".join(data.words))
        if judge is None:
            plan, stopped = yield from self._searched(ASKED)
            return (plan, True) if stopped else (yield from self._trained(plan, apart))
        return (yield from self._judged(judge))

    def _judged(self, judge: TrainedJudge) -> Steps:
        """Search more and more strictly until what was trained holds the drop."""
        assert self._drop is not None
        factor, trainings = LOOSER if self._drop > 0 else ASKED, 0
        while True:
            is_last = factor == ASKED
            try:
                plan, stopped = yield from self._searched(factor)
            except InputError:
                if is_last:
                    raise
                # The last search says what is out of reach, of the drop that was asked for.
                factor = ASKED
                continue
            if stopped or not plans.pruned_entries(plan):
                return plan, stopped
            trained, stopped = yield from self._trained(plan, judge.split)
            if stopped:
                return plan, True
            verdict, trainings = judge.judge(trained), trainings + 1
            gives_back = verdict.drop <= self._before
            if verdict.holds or (is_last and gives_back):
                yield self._told(verdict, "")
                return trained, False
            if is_last:
                yield self._told(verdict, "; the answer is the plan without it")
                return plan, False
            if not gives_back:
                before = self._words.cost(self._before)
                yield self._told(verdict, f", and {before} before: {USELESS}")
                return (yield from self._searched(ASKED))
            yield self._told(verdict, "; searching more strictly")
            factor = ASKED if trainings == MOST - 1 else self._stricter(factor, verdict)

    def _stricter(self, factor: float, verdict: search.Verdict) -> float:
        """Return how many times the drop the next search may lose."""
        assert self._drop is not None
        factor *= MARGIN * self._drop / max(verdict.bound, self._drop)
        return ASKED if factor < LEAST_LOOSER else factor

    def _told(self, verdict: search.Verdict, then: str) -> AnswerUpdate:
        assert self._drop is not None
        surely = "surely" if verdict.holds else "not surely"
        return AnswerUpdate(
            stage="Judging what was trained",
            news=f"Trained, it loses {self._words.cost(verdict.drop)} on the samples of the "
            f"search, {surely} at most the {self._words.cost(self._drop)} asked for{then}.",
        )

    def _searched(self, factor: float) -> Steps:
        """Search a plan that loses at most so many times the drop that is asked for."""
        aim, where = self._aim, ""
        if factor != ASKED:
            assert self._drop is not None
            drop = float(f"{factor * self._drop:.3g}")
            aim = dataclasses.replace(
                aim, recipe=with_drop(aim.recipe, drop, most=self._words.largest_drop)
            )
            where = f" (at most {self._words.cost(drop)} lost before the training)"
        if aim.seconds is not None and self._wish is not None and self._drop:
            left = max(0.0, aim.seconds - self._searching)
            # Without an answer of the last search there is none.
            least = SHARE * aim.seconds
            seconds = max(left, least) if factor == ASKED else SHARE * left
            aim = dataclasses.replace(aim, seconds=seconds)
        began, last = time.perf_counter(), None
        try:
            for last in iter_timed(
                self._prepared, self._start, aim, folder=self._folder, cancel=self._cancel
            ):
                yield AnswerUpdate(
                    stage=last.stage + where, progress=last.progress, search=last, news=last.news
                )
        finally:
            self._searching += time.perf_counter() - began
        if last is None or last.plan is None:
            if self._cancel():
                raise CancelledError("stopped before a plan was found")
            raise InputError("no plan was found that keeps to all of it; ask for less")
        self._before, done = last.drop or 0.0, last.state
        if done.finished:
            news = f"The search{where} ended after {done.trials} plans: {done.finished}."
            yield AnswerUpdate(stage=last.stage + where, search=last, news=news)
        plan = plans.resolve(self._prepared, last.plan)
        # It is for what was asked, whatever was looked for on the way.
        plan = dataclasses.replace(plan, recipe=self._aim.recipe)
        return plan, self._cancel() and not done.finished

    def _trained(self, plan: Plan, apart: Split | None) -> Steps:
        """Train a plan; return it untrained if that was stopped, or nothing is pruned."""
        if not plans.pruned_entries(plan):
            return plan, False
        assert self._wish is not None
        assert self._recipe is not None
        recipe = self._recipe
        asked = Training(
            plan=plan,
            recipe=recipe,
            seed=plan.subject.seed,
            folder=self._folder / TRAINING / _name(plan, recipe),
            roots=self._wish.roots,
            apart=apart,
        )
        trained = plan
        try:
            for update in iter_rounds(self._prepared, asked, cancel=self._cancel):
                point = update.training
                progress = Progress(point.step, point.steps or None, STEPS)
                yield AnswerUpdate(stage="Training", progress=progress, training=update)
                trained = update.plan or plan
        except CancelledError:
            return plan, True
        return trained, False


def iter_answer(
    prepared: PreparedSubject,
    start: Plan,
    aim: Aim,
    wish: Wish | None = None,
    *,
    workspace: Path,
    cancel: Cancel = lambda: False,
) -> Iterator[AnswerUpdate]:
    """Look for the plan of a goal, and tell how that goes; the last update has the plan.

    With a training and a drop as the goal, the first search may lose three times the drop, the
    second one less by as much as what was trained missed it, the last one the drop itself. The
    first plan whose trained model holds the drop, as a search holds it, is the answer. The time of
    the aim is that of the searches: each but the last takes half of what is left, and the last one
    what is left, but no less than half of the whole; trainings take what they take. With sizes
    alone one search is trained.

    Args:
        prepared: The subject, with the cache folder of the workspace.
        start: Where searches start.
        aim: What is looked for.
        wish: How it is trained; None leaves it.
        workspace: Searches, checkpoints and trained weights are kept in it, so that the same call
            goes on and trains nothing twice.
        cancel: Asked between plans and steps; the answer is what was found until then.

    Raises:
        CancelledError: It was stopped before there was a plan.
        PruneScopeError: The goal cannot be met, or the training data cannot be used.
    """
    work = _Answering(prepared, start, aim, wish, workspace / SEARCHES, cancel)
    plan, stopped = yield from work.steps()
    yield AnswerUpdate(stage="Done", plan=plan, stopped=stopped)


def _name(plan: Plan, recipe: TrainingRecipe) -> str:
    """Return the name of a training's folder: trainings of other plans have others."""
    entries = [entry.to_dict() for entry in plan.entries]
    content = json.dumps([plan.fingerprint, plan.repair, entries, recipe.to_dict()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
