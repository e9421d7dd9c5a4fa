"""Sweeps in a process of their own: killed, cancelled, resumed, with the same table."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.records.progress import Progress
from analysis.records.run import RunRow
from analysis.records.sweep import SweepSpec
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from analysis.sweeps import plan_sweep
from analysis.sweeps.executors.local import LocalExecutor
from analysis.worker import launch
from analysis.worker.cached_points import known_points
from tests.helpers.worker_runs import (
    INTEGERS,
    Ended,
    assert_same_points,
    run,
    start_worker,
    wait_for_samples,
)


def test_a_sweep_from_start_to_end(expected: pd.DataFrame, prepared: PreparedSubject) -> None:
    assert len(expected) == 2 * 2 * 4
    assert set(expected["status"]) == {"measured"}
    assert set(expected["samples"]) == {160}
    dense = expected[expected["kept"] == expected["total"]]
    assert (dense[["accuracy_drop", "loss_delta", "kl"]] == 0).all().all()
    assert list(dict.fromkeys(expected["layer"])) == ["0", "2"]


@pytest.mark.slow
def test_kill_in_mid_sweep_then_resume_gives_the_uninterrupted_table(
    store: Store, spec: SweepSpec, prepared: PreparedSubject, expected: pd.DataFrame
) -> None:
    # Batches of one sample: the worker is killed in the middle for certain.
    slow = replace(spec, subject=replace(spec.subject, batch_size=1))
    run_id = store.runs.create(slow)
    process = start_worker(store, run_id)
    wait_for_samples(store, run_id, 3, Ended(process))
    process.kill()
    process.wait()
    assert process.stderr is not None
    process.stderr.close()
    row = store.runs.get(run_id)
    assert row.state == "interrupted"
    assert 3 <= row.progress.done < 160
    state = store.points.state(run_id)
    assert {item.samples for item in state.sums.values()} == {row.progress.done}

    store.jobs.requeue(run_id)
    small = prepare(load_subject(slow.subject))
    assert run(store, run_id, small).state == "done"
    found = store.points.table(run_id)
    assert found[INTEGERS].to_csv() == expected[INTEGERS].to_csv()
    assert found["correct"].tolist() == expected["correct"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["exhaustive", "adaptive"])
def test_twenty_random_kills_lose_at_most_the_batch_in_flight_each(
    mode: str, store: Store, spec: SweepSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Batches of one sample, so that there is always another kill to come.
    subject = replace(spec.subject, batch_size=1)
    spec = replace(spec, subject=subject, mode=mode, tolerance=0.15)
    prepared = prepare(load_subject(subject))
    work = counted_work(monkeypatch)
    calm = Store(tmp_path / "calm")
    calm_id = calm.runs.create(spec)
    largest = [0]

    def note(row: RunRow) -> None:
        largest.append(work.value - sum(largest))

    assert run(calm, calm_id, prepared, progress=note).state == "done"
    undisturbed = work.value
    work.value = 0

    moments = random.Random(7)
    run_id = store.runs.create(spec)
    store.close()
    for _ in range(20):
        before = committed(store, run_id)
        child = forked(lambda: run(Store(store.workspace), run_id, prepared))
        wanted = before + moments.choice((0, 1, 20))
        while committed(store, run_id) < wanted or store.runs.get(run_id).pid is None:
            threading.Event().wait(0.001)
        threading.Event().wait(moments.uniform(0.0, 0.02))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, "the run ended before it was killed"
        assert committed(store, run_id) >= wanted
        assert store.runs.get(run_id).state == "interrupted"
        store.jobs.requeue(run_id)
    assert run(store, run_id, prepared).state == "done"
    assert undisturbed <= work.value <= undisturbed + 20 * max(largest)

    found, expected = store.points.table(run_id), calm.points.table(calm_id)
    columns = [name for name in found if name not in ("run_id", "seconds")]
    pd.testing.assert_frame_equal(found[columns], expected[columns], check_exact=True)
    assert store.points.reasons(run_id) == calm.points.reasons(calm_id)
    calm.close()


def counted_work(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Count the points that are measured on a piece, in this process and in forked ones."""
    # Without a lock: one process works at a time, and one that is killed would keep the lock.
    work = multiprocessing.RawValue("i", 0)
    measure = LocalExecutor.measure

    def counted(self: LocalExecutor, tasks: Any, cancel: Any) -> Any:
        found = measure(self, tasks, cancel)
        work.value += sum(len(items) for _, items in tasks)
        return found

    monkeypatch.setattr(LocalExecutor, "measure", counted)
    return work


def committed(store: Store, run_id: str) -> int:
    """Samples of all points that the store holds, so that what is done again would show."""
    return sum(sums.samples for sums in store.points.state(run_id).sums.values())


def forked(call: object) -> int:
    """Run a function in a copy of this process; a worker would spend seconds on importing torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of threads, which the child never uses
        child = os.fork()
    if child == 0:
        try:
            call()  # type: ignore[operator]
        finally:
            os._exit(0)
    return child


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_signals_cancel_cleanly_and_resuming_goes_on(
    store: Store,
    spec: SweepSpec,
    prepared: PreparedSubject,
    expected: pd.DataFrame,
    kind: signal.Signals,
) -> None:
    run_id = store.runs.create(spec)

    def interrupt(row: RunRow) -> None:
        if row.progress.done == 64 and row.state == "running":
            os.kill(os.getpid(), kind)

    before = signal.getsignal(kind)
    row = run(store, run_id, prepared, progress=interrupt)
    assert signal.getsignal(kind) is before
    assert row.state == "cancelled"
    assert row.progress.done == 64
    store.jobs.requeue(run_id)
    assert run(store, run_id, prepared).state == "done"
    assert_same_points(store.points.table(run_id), expected)


def test_an_adaptive_sweep_is_done_when_every_question_is_answered(
    store: Store, spec: SweepSpec, prepared: PreparedSubject
) -> None:
    adaptive = replace(spec, mode="adaptive", tolerance=0.2)
    run_id = store.runs.create(adaptive)
    seen: list[float] = []
    row = run(store, run_id, prepared, progress=lambda row: seen.append(row.progress.fraction))
    assert (row.state, row.error) == ("done", "")
    table = store.points.table(run_id)
    assert len(table) == 16
    assert set(table["status"]) <= {"measured", "inferred"}
    assert row.progress == Progress(2 * 2, 2 * 2, "curves")
    assert seen == sorted(seen)
    assert seen[0] == 0.0


def test_cancelling_from_elsewhere(
    store: Store, spec: SweepSpec, prepared: PreparedSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.worker.heartbeat.BEAT_SECONDS", 0.001)
    run_id = store.runs.create(spec)
    beaten = threading.Event()
    beat = store.jobs.beat

    def noted(run_id: str, *, owner: str) -> bool:
        answer = beat(run_id, owner=owner)
        if answer:
            beaten.set()
        return answer

    monkeypatch.setattr(store.jobs, "beat", noted)

    def cancel(row: RunRow) -> None:
        if row.progress.done == 32 and row.state == "running":
            launch.cancel(store, run_id)
            assert beaten.wait(30)

    row = run(store, run_id, prepared, progress=cancel)
    assert row.state == "cancelled"
    assert 32 <= row.progress.done <= 48
    assert not store.points.table(run_id).empty


def test_cancelling_in_the_queue(store: Store, spec: SweepSpec, prepared: PreparedSubject) -> None:
    first = store.runs.create(spec)
    store.jobs.attach(first, owner="me", pid=os.getpid(), host="here")
    assert store.jobs.claim_device(first)
    waiting = store.runs.create(spec)

    def cancel(row: RunRow) -> None:
        if row.state == "queued":
            assert row.queue_position == 1
            store.jobs.request_cancel(waiting)

    assert run(store, waiting, prepared, progress=cancel).state == "cancelled"


def test_no_point_is_measured_twice_across_runs(
    store: Store, spec: SweepSpec, prepared: PreparedSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[object] = []
    from analysis.measuring import EditRunner

    edited = EditRunner.edited

    def counted(self: EditRunner, opened: object, edit: object) -> object:
        evaluated.append(edit)
        return edited(self, opened, edit)  # type: ignore[arg-type]

    monkeypatch.setattr(EditRunner, "edited", counted)
    part = replace(spec, ratios=(0.0, 0.25, 0.5))
    assert known_points(store, plan_sweep(prepared, spec)) == {}
    first = store.runs.create(part)
    run(store, first, prepared)
    assert len(known_points(store, plan_sweep(prepared, spec))) == 2 * 2 * 3
    evaluated.clear()

    again = store.runs.create(part)
    assert run(store, again, prepared).state == "done"
    assert evaluated == []
    columns = [name for name in store.points.table(first) if name != "run_id"]
    pd.testing.assert_frame_equal(
        store.points.table(first)[columns], store.points.table(again)[columns]
    )

    more = store.runs.create(spec)
    run(store, more, prepared)
    # One new ratio, two layers, two criteria, ten batches; equal masks are measured once.
    assert 0 < len(evaluated) <= 2 * 2 * 10
    assert set(store.points.table(more)["samples"]) == {160}


def test_a_cancelled_run_is_no_loss_to_the_next_one(
    store: Store, spec: SweepSpec, prepared: PreparedSubject, expected: pd.DataFrame
) -> None:
    first = store.runs.create(spec)

    def stop(row: RunRow) -> None:
        if row.progress.done == 80 and row.state == "running":
            os.kill(os.getpid(), signal.SIGTERM)

    assert run(store, first, prepared, progress=stop).state == "cancelled"
    second = store.runs.create(spec)
    store.jobs.attach(second, owner="x", pid=os.getpid(), host="h")
    store.points.enter(second, plan_sweep(prepared, spec).identified)
    assert {item.samples for item in store.points.state(second).sums.values()} == {80}
    store.jobs.finish(second, "cancelled", owner="x", seconds=0)
    store.jobs.requeue(second)
    assert run(store, second, prepared).state == "done"
    assert_same_points(store.points.table(second), expected)
