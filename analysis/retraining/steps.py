"""The steps of a training job: open the subject, train each seed, evaluate it untouched."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from analysis import evaluation, plans, recovery
from analysis.edits import PreparedSubject
from analysis.jobs import Work
from analysis.plans import require_fit
from analysis.records import DONE, RUNNING, Evaluation, Plan, Progress
from analysis.recovery import Recovery
from analysis.recovery.training import (
    TRAINING_METHODS,
    Meeting,
    TrainingPoint,
    open_training_data,
)
from analysis.retraining.curves import scores_before
from analysis.retraining.jobs import seed_folder
from analysis.retraining.records import Job, Order, SeedResult
from analysis.retraining.rounds import RoundUpdate, Training, iter_rounds
from analysis.uncertainty import mean_interval

LATENCY_SECONDS = 2.0
STARTED_BETTER = (
    "No step was better on the selection samples than what the training started from, which is "
    "kept (epoch 0): lower the learning rate, or train on more data."
)


def iter_job(job: Job, given: Work, *, meeting: Meeting | None = None) -> Iterator[Job]:
    """Work on a job, and yield it whenever there is something new to tell.

    Args:
        job: As it was ordered.
        given: Loads the subject, keeps what is found, and says when to stop.
        meeting: Other machines that share each batch; None for this one alone.

    Raises:
        CancelledError: It was stopped; its checkpoint is kept, and the same job goes on.
        PruneScopeError: The subject cannot be used, or the plan cannot be trained so.
    """
    order = job.order
    job = dataclasses.replace(
        job, state=RUNNING, stage="Loading the subject", results=(), plan_ids=(), evaluation=None
    )
    yield job
    prepared = given.opener(order.subject)
    plan = dataclasses.replace(order.plan, subject=prepared.subject.spec)
    plan = plans.resolve(prepared, require_fit(prepared, plan))
    TRAINING_METHODS.get(order.recipe.method).check(prepared, plan)
    yield (job := dataclasses.replace(job, stage=_start_stage(plan)))
    job = _measured(job, prepared, plan, given)
    yield job
    for number, seed in enumerate(order.seeds):
        asked = Training(
            plan=plan,
            recipe=order.recipe,
            seed=seed,
            rounds=order.rounds,
            folder=seed_folder(given.store.workspace, job.job_id, seed),
            roots=given.roots,
            meeting=meeting,
        )
        last: RoundUpdate | None = None
        for last in iter_rounds(prepared, asked, cancel=given.cancel):
            job = _told(job, order, number, last)
            yield job
        assert last is not None
        assert last.plan is not None
        yield (job := dataclasses.replace(job, stage="Evaluating on untouched samples"))
        found = _evaluated(given, prepared, last.plan)
        job = _with_seed(job, _saved(given, last.plan), found, seed, last)
        yield job
    yield dataclasses.replace(job, state=DONE, stage="Done", eta_seconds=None)


def _start_stage(plan: Plan) -> str:
    if plan.trained:
        return "Measuring what was trained before"
    return f"Repairing by {plan.repair}" if plan.is_recovered else "Measuring the pruned model"


def _measured(job: Job, prepared: PreparedSubject, plan: Plan, given: Work) -> Job:
    """Return a job with the scores that the training starts from."""
    start = recovery.repaired_plan(prepared, plan)
    start = start or Recovery(plan, plans.plan_edit(prepared, plan))
    recipe, seed = job.order.recipe, job.order.seeds[0]
    data = open_training_data(prepared, recipe, seed=seed, roots=given.roots)
    found = recovery.report(prepared, plan, start)
    return dataclasses.replace(
        job,
        notes=data.words,
        lines=scores_before(prepared, plan, start, data),
        dense=found.dense.accuracy,
        pruned=found.pruned.accuracy,
        repaired=found.recovered.accuracy,
    )


def _told(job: Job, order: Order, number: int, update: RoundUpdate) -> Job:
    """Return a job with where the training of a seed is."""
    point = update.training
    parts = ["Training" if point.step else "Timing a few steps"]
    if len(order.seeds) > 1:
        parts.append(f"seed {number + 1} of {len(order.seeds)}")
    if order.rounds > 1:
        parts.append(f"round {update.round} of {order.rounds}")
    eta: float | None = None
    if point.steps:
        # Each of the trainings to come takes as long as this one.
        whole = point.seconds + point.eta_seconds
        to_come = len(order.seeds) * order.rounds - number * order.rounds - update.round
        eta = point.eta_seconds + whole * to_come
    return dataclasses.replace(
        job,
        stage=", ".join(parts),
        progress=Progress(point.step, point.steps or None, "steps"),
        eta_seconds=eta,
        seed=order.seeds[number],
        round=update.round,
        point=_point(update),
        notes=tuple(dict.fromkeys((*job.notes, *[STARTED_BETTER] * point.keeps_start))),
    )


def _point(update: RoundUpdate) -> TrainingPoint:
    names = [item.name for item in dataclasses.fields(TrainingPoint)]
    return TrainingPoint(**{name: getattr(update.training, name) for name in names})


def _evaluated(given: Work, prepared: PreparedSubject, plan: Plan) -> Evaluation:
    """Measure a trained plan, or find it measured: a job that goes on measures nothing twice."""
    known = evaluation.kept_evaluation(given.store, prepared, plan)
    if known is not None:
        return known.evaluation
    found = evaluation.evaluate_plan(
        prepared,
        plan,
        recovery=recovery.repaired_plan(prepared, plan),
        latency_seconds=LATENCY_SECONDS,
    )
    return evaluation.keep_evaluation(given.store, prepared, plan, found)


def _saved(given: Work, plan: Plan) -> str:
    """Save a trained plan under an id of its own, the same one whenever the job goes on."""
    assert plan.training is not None
    return given.store.plans.save(plan, plan_id=f"p-{plan.training[-6:]}")


def _with_seed(job: Job, plan_id: str, found: Evaluation, seed: int, last: RoundUpdate) -> Job:
    """Return a job with one more seed; the answer is that of the first, the best is luck."""
    removed = found.removed
    result = SeedResult(
        seed=seed,
        plan_id=plan_id,
        accuracy=removed.accuracy,
        drop=removed.drop,
        drop_low=removed.drop_low,
        drop_high=removed.drop_high,
        epochs=last.epochs,
        seconds=last.seconds,
    )
    results = (*job.results, result)
    drops = [item.drop for item in results]
    low, high = removed.drop_low, removed.drop_high
    if len(results) > 1:
        interval = mean_interval(drops)
        low, high = interval.low, interval.high
    return dataclasses.replace(
        job,
        results=results,
        plan_ids=(*job.plan_ids, plan_id),
        evaluation=job.evaluation or found.to_dict(),
        accuracy=sum(item.accuracy for item in results) / len(results),
        drop=sum(drops) / len(drops),
        drop_low=low,
        drop_high=high,
    )
