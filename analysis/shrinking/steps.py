"""The steps of a job: open the subject, search, evaluate what was found on untouched samples."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from analysis import evaluation, plans, recovery, repairs, search
from analysis.allocation import BEST
from analysis.edits import PreparedSubject
from analysis.measuring import Cancel
from analysis.records import DONE, RUNNING, Plan, Progress, SubjectSpec
from analysis.repairs import AUTO
from analysis.search import SEARCHES, Aim, FrontierPoint, SearchUpdate
from analysis.sentences import percent
from analysis.shrinking.answers import AnswerUpdate, Wish, iter_answer
from analysis.shrinking.records import ANSWER, Job, Order
from analysis.store import Store

Opener = Callable[[SubjectSpec], PreparedSubject]
LATENCY_SECONDS = 2.0
# About what comes after the search takes.
AFTER_SECONDS = 8.0


def opened(spec: SubjectSpec, opener: Opener) -> PreparedSubject:
    """Open a subject; where all samples would be evaluated, some are set aside for the search."""
    prepared = opener(spec)
    fewer = search.set_aside(prepared.subject)
    if fewer is None:
        return prepared
    return prepared.of(prepared.subject.with_samples(fewer))


def iter_job(
    job: Job,
    opener: Opener,
    store: Store,
    *,
    cancel: Cancel = lambda: False,
    roots: tuple[Path, ...] | None = None,
) -> Iterator[Job]:
    """Work on a job, and yield it whenever there is something new to tell.

    Args:
        job: As it was ordered.
        opener: Loads a subject.
        store: The workspace: searches are kept in it, and what they find.
        cancel: Asked between plans; what was found until then is the result.
        roots: Folders below which training data may lie; None allows everything.

    Raises:
        PruneScopeError: The subject cannot be used, or the goal cannot be met.
    """
    order = job.order
    job = dataclasses.replace(job, state=RUNNING, stage="Loading the subject", news=())
    if order.kind == ANSWER:
        job = dataclasses.replace(job, eta_seconds=order.seconds + AFTER_SECONDS)
    yield job
    prepared = opened(order.subject, opener)
    start = _start(prepared, order.plan)
    job = dataclasses.replace(job, searched_on=search.search_data(prepared.subject).words)
    aim = _aim(order, start)
    if order.kind == ANSWER:
        yield from _answer(job, prepared, start, aim, store, cancel, roots)
    else:
        yield from _trade_off(job, prepared, start, aim, store, cancel)


def _start(prepared: PreparedSubject, plan: Plan | None) -> Plan:
    """Return where the search starts: a plan of the subject as it was opened."""
    if plan is not None:
        return dataclasses.replace(plan, subject=prepared.subject.spec)
    repair = repairs.chosen_repair(prepared, AUTO).name
    start = plans.start_plan(prepared, criterion=search.CRITERIA[0])
    return dataclasses.replace(start, repair=repair)


def _aim(order: Order, start: Plan) -> Aim:
    own = tuple(dict.fromkeys(entry.criterion for entry in start.entries))
    criteria = search.CRITERIA if order.recipe.criteria == BEST else own
    aim = Aim(recipe=order.recipe, measure=order.measure, criteria=criteria, seconds=order.seconds)
    return aim if order.kind == ANSWER else dataclasses.replace(aim, trials=search.FRONTIER_TRIALS)


def _answer(
    job: Job,
    prepared: PreparedSubject,
    start: Plan,
    aim: Aim,
    store: Store,
    cancel: Cancel,
    roots: tuple[Path, ...] | None,
) -> Iterator[Job]:
    order = job.order
    wish = Wish(preset=order.recover, data=order.train_data, roots=roots) if order.recover else None
    clock = _Clock(order.seconds)
    for update in iter_answer(prepared, start, aim, wish, workspace=store.workspace, cancel=cancel):
        job = _answering(job, update, clock)
        if update.plan is not None:
            job = dataclasses.replace(job, stopped=update.stopped)
            yield from _evaluated(job, prepared, update.plan, store)
            return
        yield job


def _answering(job: Job, update: AnswerUpdate, clock: _Clock) -> Job:
    """Return a job with where its answer is."""
    news = (*job.news, update.news) if update.news else job.news
    if update.search is not None:
        job, eta = _told(job, update.search), clock.left(update.search)
    else:
        point = None if update.training is None else update.training.training
        eta = point.eta_seconds + AFTER_SECONDS if point is not None and point.steps else None
    return dataclasses.replace(
        job, stage=update.stage, progress=update.progress, eta_seconds=eta, news=news
    )


def _evaluated(job: Job, prepared: PreparedSubject, plan: Plan, store: Store) -> Iterator[Job]:
    job = dataclasses.replace(
        job,
        stage=f"Evaluating on {_count(prepared)} untouched samples",
        progress=Progress(0, None, "samples"),
        eta_seconds=None,
    )
    yield job
    found = evaluation.evaluate_plan(
        prepared,
        plan,
        recovery=recovery.repaired_plan(prepared, plan),
        latency_seconds=LATENCY_SECONDS,
    )
    evaluation.keep_evaluation(store, prepared, plan, found)
    kept = store.plans.save(plan, params_left=found.params_left, macs_left=found.macs_left)
    yield dataclasses.replace(
        job,
        state=DONE,
        stage="Done",
        plan_ids=(kept,),
        evaluation=found.to_dict(),
    )


def _trade_off(
    job: Job,
    prepared: PreparedSubject,
    start: Plan,
    aim: Aim,
    store: Store,
    cancel: Cancel,
) -> Iterator[Job]:
    folder = store.workspace / SEARCHES
    evaluation.keep_subject(store, prepared)
    kept: tuple[str, ...] = ()
    began = time.perf_counter()
    updates = search.iter_frontier(
        prepared, start, aim, job.order.levels, folder=folder, cancel=cancel
    )
    for update in updates:
        repair = "no repair" if update.repair == repairs.NO_REPAIR else update.repair
        what = f"{percent(update.level)} of the {_SIZES[aim.measure]} with {repair}"
        done = update.place
        for point in update.points[len(kept) :]:
            done += 1
            store.measurements.add(point.plan, prepared.identity, point.sums, recovered=True)
            kept += (_saved(store, point),)
        told = job if update.search is None else _told(job, update.search)
        job = dataclasses.replace(
            told,
            stage=f"Searching at {what}",
            progress=Progress(done, update.total, "plans"),
            eta_seconds=(time.perf_counter() - began) * (update.total - done) / done
            if done
            else None,
            plan_ids=kept,
            news=tuple(update.beyond.values()),
        )
        yield job
    yield dataclasses.replace(job, state=DONE, stage="Done", stopped=cancel(), eta_seconds=None)


def _saved(store: Store, point: FrontierPoint) -> str:
    """Save a plan; a trade-off that is taken up again finds the one that it saved before."""
    known = store.plans.id_of_equal(point.plan)
    if known is not None:
        return known
    return store.plans.save(point.plan, params_left=point.params, macs_left=point.macs)


_SIZES = {"macs": "MACs", "params": "parameters"}


def _count(prepared: PreparedSubject) -> str:
    split = prepared.subject.evaluation
    return "" if split is None else f"{len(split):,}"


def _told(job: Job, update: SearchUpdate) -> Job:
    """Return a job with what a search tells."""
    return dataclasses.replace(
        job, stage=update.stage, progress=update.progress, share=update.share, drop=update.drop
    )


class _Clock:
    """Says how long a search goes on.

    Args:
        limit: Wall time of searching, in seconds.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._began = time.perf_counter()

    def left(self, update: SearchUpdate) -> float | None:
        """Return the seconds that are left, of the evaluation too; None where nobody knows."""
        spent = time.perf_counter() - self._began
        now, rest = update.progress, 0.0
        if update.plan is None and now.total and now.done:
            rest = spent * (now.total - now.done) / now.done
        left = max(self._limit - spent, rest)
        return left + AFTER_SECONDS if left > 0 else None
