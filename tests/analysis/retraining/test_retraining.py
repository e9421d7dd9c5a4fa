"""Training jobs: one seed, several, rounds, a stop that goes on, and in a process of its own."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
import torch

from analysis import edits, subjects
from analysis.edits.prepared import PreparedSubject
from analysis.evaluation.evaluate import evaluate_plan
from analysis.jobs.process import Work
from analysis.plans.apply import resolve
from analysis.plans.entries import pruned_entries
from analysis.records import Evaluation
from analysis.records.plan import Plan
from analysis.records.run import DONE
from analysis.records.subject import SubjectSpec
from analysis.recovery import recovered_model
from analysis.recovery.kept import repaired_plan
from analysis.recovery.training import TrainingRecipe
from analysis.retraining.jobs import Jobs, seed_folder
from analysis.retraining.records import Job, Order
from analysis.retraining.rounds import Training, iter_rounds
from analysis.retraining.steps import STARTED_BETTER, iter_job
from analysis.store.store import Store
from analysis.uncertainty.student import mean_interval
from pruners.errors import CancelledError, InputError, UnsupportedError
from tests.analysis.recovery.test_kept import SPEC, halved
from tests.helpers import trainable

RECIPE = TrainingRecipe(steps=4, batch_size=32, lr=0.02, selection=0.02)


def opened(store: Store, spec: SubjectSpec = SPEC) -> PreparedSubject:
    prepared = edits.prepare(subjects.load_subject(spec))
    prepared.use_cache(store.statistics_folder)
    return prepared


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def plan(store: Store) -> Plan:
    prepared = opened(store)
    return resolve(prepared, halved(prepared, "lsq"))


def finished(store: Store, order: Order) -> Job:
    *_, last = iter_job(Job(order=order), Work(lambda spec: opened(store, spec), store))
    return last


def test_seeds_are_trained_evaluated_and_told_as_a_mean(store: Store, plan: Plan) -> None:
    """The answer is the first seed's, the interval that of all."""
    order = Order(subject=SPEC, plan=plan, recipe=RECIPE, seeds=(0, 1))
    job = finished(store, order)
    assert (job.state, len(job.results), len(set(job.plan_ids))) == (DONE, 2, 2)
    prepared = opened(store)
    measured = []
    for result in job.results:
        trained = store.plans.get(result.plan_id)
        assert trained.trained.startswith("finetune, ")
        recovery = repaired_plan(prepared, trained)
        found = evaluate_plan(prepared, trained, recovery=recovery, latency_seconds=0)
        assert found.removed.accuracy == result.accuracy
        measured.append(found.removed.drop)
        kept = store.evaluations.last(trained)
        assert kept is not None
        assert kept.evaluation.trained == trained.trained
    interval = mean_interval(measured)
    assert job.drop == pytest.approx(sum(measured) / 2)
    assert (job.drop_low, job.drop_high) == (interval.low, interval.high)
    assert job.evaluation is not None
    assert Evaluation.from_dict(job.evaluation).removed.accuracy == job.results[0].accuracy
    bare = evaluate_plan(prepared, plan, latency_seconds=0)
    assert (job.dense, job.pruned) == (bare.dense.accuracy, bare.removed.accuracy)
    # Ordered again it is all there; nothing is trained or saved twice.
    saved = len(store.plans.saved())
    again = finished(store, order)
    assert [item.plan_id for item in again.results] == list(job.plan_ids)
    assert len(store.plans.saved()) == saved


def test_a_stopped_training_goes_on_to_the_same_weights(store: Store, plan: Plan) -> None:
    """Cancel keeps the checkpoint, the same order goes on bit for bit."""
    order = Order(subject=SPEC, plan=plan, recipe=RECIPE)
    asked = [0]

    def cancel() -> bool:
        asked[0] += 1
        return asked[0] > 2

    given = Work(lambda spec: opened(store, spec), store, cancel)
    with pytest.raises(CancelledError, match=r"at step [12] of 4; the checkpoint is kept"):
        list(iter_job(Job(order=order), given))
    assert not store.plans.saved()
    folder = seed_folder(store.workspace, order.job_id, 0)
    assert (folder / "checkpoint.safetensors").is_file()
    job = finished(store, order)
    straight = finished(store, dataclasses.replace(order, rounds=1, seeds=(0, 1)))
    assert job.plan_ids[0] == straight.plan_ids[0]


def test_a_training_is_made_longer_from_what_it_trained(store: Store, plan: Plan) -> None:
    """Train longer starts from the trained weights."""
    recipe = dataclasses.replace(RECIPE, selection=0.0)
    first = finished(store, Order(subject=SPEC, plan=plan, recipe=recipe))
    trained = store.plans.get(first.plan_ids[0])
    longer = Order(subject=SPEC, plan=trained, recipe=recipe)
    second = finished(store, longer)
    assert second.repaired == first.accuracy
    assert second.pruned == first.pruned
    again = store.plans.get(second.plan_ids[0])
    assert again.training != trained.training
    assert again.trained == f"{trained.trained}, then {trained.trained}"
    assert longer.job_id != first.job_id


@pytest.mark.parametrize("patience", [None, 1])
def test_a_start_that_no_step_betters_is_kept_and_that_is_said(
    store: Store, plan: Plan, patience: int | None
) -> None:
    """Found by newcomers: a rate that is too high made an answer that was worse than its start."""
    recipe = dataclasses.replace(RECIPE, lr=0.3, patience=patience)
    job = finished(store, Order(subject=SPEC, plan=plan, recipe=recipe))
    assert job.accuracy == job.repaired
    assert STARTED_BETTER in job.notes
    found = store.plans.get(job.plan_ids[0])
    assert found.trained.endswith("epoch 0 was best")
    prepared, outputs = opened(store), []
    for each in (plan, found):
        recovery = repaired_plan(prepared, each)
        assert recovery is not None
        outputs.append(recovered_model(prepared, recovery)(prepared.subject.example))
    assert torch.equal(*outputs)


def test_rounds_score_anew_what_was_trained(store: Store, plan: Plan) -> None:
    """Prune, train, prune; what goes stays gone, the counts are the plan's."""
    prepared = opened(store)
    seen: dict[int, int] = {}
    asked = Training(plan=plan, recipe=RECIPE, rounds=2)
    final: Plan | None = None
    for update in iter_rounds(prepared, asked):
        seen[update.round] = update.training.steps
        final = update.plan
    assert set(seen) == {1, 2}
    assert final is not None
    counts = [(item.name, item.kept) for item in pruned_entries(plan)]
    assert [(item.name, item.kept) for item in pruned_entries(final)] == counts
    assert final.recipe is not None
    assert final.recipe.rounds == 2
    assert final.trained.endswith("2 rounds")
    recovery = repaired_plan(prepared, final)
    assert recovery is not None
    assert recovery.plan.entries == final.entries
    element = dataclasses.replace(
        plan,
        entries=tuple(
            dataclasses.replace(
                item, group=None, granularity="element", kept=1, total=2, indices=None
            )
            for item in plan.entries
        ),
    )
    with pytest.raises(UnsupportedError, match="rounds choose channels"):
        list(iter_rounds(prepared, dataclasses.replace(asked, plan=element)))
    with pytest.raises(InputError, match=r"gmp prunes the dense model on the way.*finetune"):
        Order(subject=plan.subject, plan=plan, recipe=TrainingRecipe(method="gmp"), rounds=2)
    with pytest.raises(InputError, match="rounds start from a plan that was not trained"):
        list(iter_rounds(prepared, dataclasses.replace(asked, plan=final)))


def test_a_job_in_its_own_process_trains(store: Store, plan: Plan) -> None:
    jobs = Jobs(store.workspace)
    order = Order(subject=SPEC, plan=plan, recipe=RECIPE)
    name = jobs.start(order)
    assert jobs.start(order) == name
    deadline = time.monotonic() + 120
    while (job := jobs.get(name)).is_live:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (job.state, job.error) == (DONE, "")
    trained = store.plans.get(job.plan_ids[0])
    found = repaired_plan(opened(store), trained)
    assert found is not None
    # The plan's own units are gone: zeros stay zeros.
    assert all(torch.isfinite(item).all() for item in found.edit.tensors.values())
    noted = dataclasses.replace(plan, note="mine", strategy="search")
    assert dataclasses.replace(order, plan=noted).job_id == order.job_id
    assert dataclasses.replace(order, seeds=(1,)).job_id != order.job_id


@pytest.mark.parametrize("seeds", [(), (0, 0)])
def test_seeds_are_given_once_each(plan: Plan, seeds: tuple[int, ...]) -> None:
    """One seed twice is one training: its interval had no width."""
    with pytest.raises(InputError, match="each of them once"):
        Order(subject=SPEC, plan=plan, recipe=RECIPE, seeds=seeds)


def test_weights_are_never_measured_on_what_they_learned_from(tmp_path: Path) -> None:
    """More samples of the same data hold those trained on; they were measured on.

    As few or fewer are measured as before, also after a second training on other data.
    """
    few = trainable.opened(tmp_path, "plain")
    few.use_cache(tmp_path / "statistics")
    recipe = TrainingRecipe(steps=2, batch_size=16, lr=0.02)
    first = Training(plan=resolve(few, trainable.plan_of(few)), recipe=recipe)
    *_, last = iter_rounds(few, first)
    assert last.plan is not None
    *_, longer = iter_rounds(few, dataclasses.replace(first, plan=last.plan))
    assert longer.plan is not None
    for plan in (last.plan, longer.plan):
        for samples, learned_from in ((100, 0), (160, 0), (200, 40)):
            spec = dataclasses.replace(few.subject.spec, samples=samples)
            prepared = edits.prepare(subjects.load_subject(spec))
            prepared.use_cache(tmp_path / "statistics")
            if not learned_from:
                assert repaired_plan(prepared, plan) is not None
                continue
            with pytest.raises(InputError, match=f"learned from {learned_from} of 200 eval"):
                repaired_plan(prepared, plan)


def test_samples_that_a_goal_judges_on_do_not_count_as_learned_from(tmp_path: Path) -> None:
    """They are left out of the training, so the trained plan can be measured on them."""
    few = trainable.opened(tmp_path, "plain")
    few.use_cache(tmp_path / "statistics")
    assert few.subject.evaluation is not None
    free = sorted(set(range(200)) - set(few.subject.evaluation.indices))
    judged = few.subject.evaluation.of(free[:20])
    recipe = TrainingRecipe(steps=2, batch_size=16, lr=0.02)
    asked = Training(plan=resolve(few, trainable.plan_of(few)), recipe=recipe, apart=judged)
    *_, last = iter_rounds(few, asked)
    assert last.plan is not None
    subject = dataclasses.replace(few.subject, evaluation=judged)
    assert repaired_plan(dataclasses.replace(few, subject=subject), last.plan) is not None
