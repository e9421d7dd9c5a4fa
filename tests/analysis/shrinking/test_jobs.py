"""A goal as a job: in a process of its own, found again, stopped; its death is noticed."""

from __future__ import annotations

import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

import pytest

from analysis import search
from analysis.allocation import BEST
from analysis.edits.prepared import PreparedSubject, prepare
from analysis.evaluation.evaluate import evaluate_plan
from analysis.plans.editing import lock
from analysis.plans.entries import find
from analysis.records import Evaluation
from analysis.records.plan import Plan, Recipe
from analysis.records.run import DONE, INTERRUPTED, RUNNING
from analysis.records.subject import SubjectSpec
from analysis.recovery.kept import repaired_plan
from analysis.retraining.presets import PRESETS
from analysis.search.data import search_data
from analysis.search.records import Aim
from analysis.search.verdict import TrainedJudge, Verdict
from analysis.shrinking.jobs import Jobs
from analysis.shrinking.records import TRADE_OFF, Job, Order
from analysis.shrinking.steps import iter_job, opened
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from pruners.errors import CancelledError, PruneScopeError, UnknownNameError

SUBJECT = SubjectSpec(
    model="sample:lenet5", data="sample:fashion-mnist", samples=200, calibration_samples=64
)
ORDER = Order(subject=SUBJECT, recipe=Recipe(budgets=("macs=0.7",), criteria=BEST), seconds=1)
few_samples = functools.partial(search_data, samples=200)


@pytest.fixture
def looked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let searches and trainings be short on any machine; note what searches look for."""
    for field, value in {"steps": 2, "batch_size": 32, "lr": 0.02}.items():
        monkeypatch.setitem(PRESETS.get("quick").fields, field, value)
    found: list[str] = []
    of_search = search.iter_search

    def short(prepared: PreparedSubject, start: Plan, aim: Aim, **more: Any) -> Any:
        found.extend(aim.recipe.budgets)
        return of_search(prepared, start, dataclasses.replace(aim, trials=1, seconds=None), **more)

    monkeypatch.setattr(search, "iter_search", short)
    for module in ("search", "verdict"):
        monkeypatch.setattr(f"analysis.search.{module}.search_data", few_samples)
    return found


def ended(jobs: Jobs, name: str) -> Job:
    deadline = time.monotonic() + 120
    while (job := jobs.get(name)).is_live:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return job


def test_a_job_in_its_own_process_finds_and_measures_a_plan(tmp_path: Path) -> None:
    """An answer that its plan, evaluated again, gives to the sample."""
    jobs = Jobs(tmp_path)
    name = jobs.start(ORDER)
    assert jobs.start(ORDER) == name
    assert jobs.newest(SUBJECT, "answer").job_id == name  # type: ignore[union-attr]
    job = ended(jobs, name)
    assert (job.state, job.error) == (DONE, "")
    assert "other samples" in job.searched_on
    assert job.evaluation is not None
    found = Evaluation.from_dict(job.evaluation)
    assert found.removed.macs <= 0.7 * found.dense.macs
    assert found.removed.latency is not None
    assert len(found.classes) == 10
    store = Store(tmp_path)
    plan = store.plans.get(job.plan_ids[0])
    assert (plan.strategy, plan.repair) == ("search", "lsq")
    prepared = prepare(load_subject(SUBJECT))
    again = evaluate_plan(prepared, plan, recovery=repaired_plan(prepared, plan), latency_seconds=0)
    assert again.removed.accuracy == found.removed.accuracy
    assert again.samples == found.samples == 200
    # Predictions, and the trade-off, know of it.
    (known,) = store.measurements.all(prepared.identity)
    assert known.sums.terms == found.removed.sums.terms


def test_a_trade_off_that_is_taken_up_again_saves_no_plan_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Plans page had each plan once more after every time that a trade-off was stopped."""
    monkeypatch.setattr("analysis.search.search.search_data", few_samples)
    monkeypatch.setattr(search, "FRONTIER_TRIALS", 1)
    store, prepared = Store(tmp_path), prepare(load_subject(SUBJECT))
    recipe = Recipe(criteria=BEST)
    order = dataclasses.replace(ORDER, kind=TRADE_OFF, levels=(0.8, 0.6), recipe=recipe, seconds=60)
    for job in iter_job(Job(order=order), lambda spec: prepared, store):
        if len(job.plan_ids) == 2:
            break
    *_, whole = iter_job(Job(order=order), lambda spec: prepared, store)
    assert whole.plan_ids[:2] == job.plan_ids
    assert {row.plan_id for row in store.plans.saved()} == {*whole.plan_ids}
    assert len(whole.plan_ids) == 4
    # A plan that was changed since is left alone.
    changed = lock(store.plans.get(whole.plan_ids[0]), "conv2", locked=True)
    store.plans.save(changed, plan_id=whole.plan_ids[0])
    *_, again = iter_job(Job(order=order), lambda spec: prepared, store)
    assert again.plan_ids[1:] == whole.plan_ids[1:]
    assert again.plan_ids[0] != whole.plan_ids[0]
    assert store.plans.get(whole.plan_ids[0]) == changed


@pytest.mark.slow
def test_a_stop_keeps_the_best_so_far_and_locks_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.search.search.search_data", few_samples)
    store, stopped = Store(tmp_path), [False]
    prepared = prepare(load_subject(SUBJECT))
    *_, first = iter_job(Job(order=ORDER), lambda spec: prepared, store)
    plan = lock(store.plans.get(first.plan_ids[0]), "conv2", locked=True)
    order = dataclasses.replace(
        ORDER, plan=plan, seconds=60, recipe=Recipe(budgets=("macs=0.6",), criteria=BEST)
    )
    last = begun = Job(order=order)
    for last in iter_job(begun, lambda spec: prepared, store, cancel=lambda: stopped[0]):
        stopped[0] = last.share is not None
    assert (last.state, last.stopped) == (DONE, True)
    found = store.plans.get(last.plan_ids[0])
    assert find(found, "conv2").kept == find(plan, "conv2").kept
    with pytest.raises(CancelledError, match="before a plan was found"):
        list(iter_job(Job(order=order), lambda spec: prepared, store, cancel=lambda: True))


def test_a_job_whose_process_died_is_interrupted_and_a_wrong_name_is_unknown(
    tmp_path: Path,
) -> None:
    jobs = Jobs(tmp_path)
    job = Job(order=ORDER, state=RUNNING, started=time.time(), changed=time.time() - 60)
    jobs.save(job)
    assert jobs.get(job.job_id).state == INTERRUPTED
    for name in ("j-0123456789", "../../plan", ""):
        with pytest.raises(UnknownNameError):
            jobs.get(name)


def test_bad_goals_fail_in_one_line(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    subject = dataclasses.replace(SUBJECT, model="sample:nosuch")
    job = ended(jobs, jobs.start(dataclasses.replace(ORDER, subject=subject)))
    assert job.state == "failed"
    assert "nosuch" in job.error
    assert "\n" not in job.error


def test_a_subject_is_opened_once(tmp_path: Path) -> None:
    """Where all samples would be evaluated, it was opened a second time."""
    whole = dataclasses.replace(SUBJECT, samples=None)
    asked: list[SubjectSpec] = []

    def opener(spec: SubjectSpec) -> PreparedSubject:
        asked.append(spec)
        return prepare(load_subject(spec))

    prepared = opened(whole, opener)
    assert asked == [whole]
    count = prepared.subject.spec.samples
    assert count is not None
    again = prepare(load_subject(dataclasses.replace(whole, samples=count)))
    assert prepared.identity == again.identity


@pytest.mark.slow
@pytest.mark.usefixtures("looked_for")
def test_an_answer_is_trained_where_that_is_asked_for(tmp_path: Path) -> None:
    """The order carries the preset, and the plan its training."""
    store = Store(tmp_path)
    prepared = prepare(load_subject(SUBJECT))
    prepared.use_cache(store.statistics_folder)
    order = dataclasses.replace(ORDER, recover="quick")
    assert order.job_id != ORDER.job_id
    stages = [job.stage for job in iter_job(Job(order=order), lambda spec: prepared, store)]
    *_, last = iter_job(Job(order=order), lambda spec: prepared, store)
    assert "Training" in stages
    plan = store.plans.get(last.plan_ids[0])
    assert plan.trained.startswith("finetune")
    assert last.evaluation is not None
    found = Evaluation.from_dict(last.evaluation)
    assert found.trained == plan.trained
    again = evaluate_plan(prepared, plan, recovery=repaired_plan(prepared, plan), latency_seconds=0)
    assert again.removed.accuracy == found.removed.accuracy


TO_TRAIN = dataclasses.replace(ORDER, recipe=Recipe(budgets=("drop=0.1",)), recover="quick")


def worked(tmp_path: Path, order: Order = TO_TRAIN) -> tuple[list[Job], Store]:
    store = Store(tmp_path)
    prepared = prepare(load_subject(order.subject))
    prepared.use_cache(store.statistics_folder)
    return list(iter_job(Job(order=order), lambda spec: prepared, store)), store


@pytest.mark.parametrize(
    ("verdicts", "searched", "is_trained", "said"),
    [
        ([Verdict(0.01, 0.02, holds=True)], ["drop=0.3"], True, "surely at most the 10.00 pp"),
        (
            [Verdict(-1.0, 0.15, holds=False), Verdict(0.0, 0.01, holds=True)],
            ["drop=0.3", "drop=0.19"],
            True,
            "searching more strictly",
        ),
        (
            [
                Verdict(-1.0, 0.1, holds=False),
                Verdict(-1.0, 0.03, holds=False),
                Verdict(1.0, 1.0, holds=False),
            ],
            ["drop=0.3", "drop=0.285", "drop=0.1"],
            False,
            "the answer is the plan without it",
        ),
        (
            [Verdict(1.0, 1.0, holds=False)],
            ["drop=0.3", "drop=0.1"],
            False,
            "without training",
        ),
    ],
)
def test_searches_before_a_training_get_stricter_until_the_drop_holds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    looked_for: list[str],
    verdicts: list[Verdict],
    searched: list[str],
    is_trained: bool,
    said: str,
) -> None:
    """The plan of the goal itself was trained, which made nothing smaller."""
    monkeypatch.setattr(TrainedJudge, "judge", lambda self, plan: verdicts.pop(0))
    jobs, store = worked(tmp_path)
    last = jobs[-1]
    assert looked_for == searched
    assert not verdicts
    assert said in " ".join(last.news)
    plan = store.plans.get(last.plan_ids[0])
    assert bool(plan.trained) is is_trained
    assert plan.recipe is not None
    assert plan.recipe.budgets == ("drop=0.1",)
    assert last.evaluation is not None
    assert bool(Evaluation.from_dict(last.evaluation).trained) is is_trained


@pytest.mark.usefixtures("looked_for")
def test_a_stop_of_the_training_answers_with_what_was_found_before(tmp_path: Path) -> None:
    store, stopped = Store(tmp_path), [False]
    prepared = prepare(load_subject(SUBJECT))
    prepared.use_cache(store.statistics_folder)
    last = begun = Job(order=TO_TRAIN)
    for last in iter_job(begun, lambda spec: prepared, store, cancel=lambda: stopped[0]):
        stopped[0] = stopped[0] or last.stage == "Training"
    assert (last.state, last.stopped) == (DONE, True)
    plan = store.plans.get(last.plan_ids[0])
    assert (plan.trained, plan.training) == ("", None)
    assert any(entry.kept < entry.total for entry in plan.entries)


@pytest.mark.usefixtures("looked_for")
def test_a_trained_plan_is_judged_as_a_search_judges(tmp_path: Path) -> None:
    """Nothing is faked: the weights that were kept, on the samples of the search."""
    jobs, store = worked(tmp_path, dataclasses.replace(ORDER, recover="quick"))
    plan = store.plans.get(jobs[-1].plan_ids[0])
    prepared = prepare(load_subject(SUBJECT))
    prepared.use_cache(store.statistics_folder)
    for limit, holds in (("drop=1", True), ("drop=0", False)):
        aim = search.Aim(recipe=Recipe(budgets=(limit,)))
        judge = TrainedJudge(prepared, dataclasses.replace(plan, training=None, trained=""), aim)
        verdict = judge.judge(plan)
        assert verdict.holds is holds
    split = judge.split
    assert not set(split.indices) & set(prepared.subject.evaluation.indices)  # type: ignore[union-attr]
    measured = dataclasses.replace(prepared.subject, evaluation=split)
    searched = dataclasses.replace(prepared, subject=measured)
    recovery = repaired_plan(prepared, plan)
    found = evaluate_plan(searched, plan, recovery=recovery, latency_seconds=0)
    assert verdict.drop == pytest.approx(found.removed.drop)


def test_orders_without_training_data_keep_their_names() -> None:
    assert "train_data" not in ORDER.content()
    other = dataclasses.replace(TO_TRAIN, train_data="fashion-mnist:somewhere")
    assert other.job_id != TO_TRAIN.job_id


def test_training_data_that_are_not_there_are_told_before_the_search(tmp_path: Path) -> None:
    with pytest.raises(PruneScopeError, match="nowhere"):
        worked(tmp_path, dataclasses.replace(TO_TRAIN, train_data="fashion-mnist:nowhere"))
    assert not list(tmp_path.glob("searches/*.json"))
