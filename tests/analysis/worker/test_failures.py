"""Runs that fail: the reason is kept, and what was measured."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from analysis import worker
from analysis.edits.prepared import PreparedSubject, prepare
from analysis.records.run import RunRow
from analysis.records.sweep import SweepSpec, SweepUpdate
from analysis.store.store import Store
from analysis.subjects.data.split import Split
from analysis.subjects.subject import load_subject
from pruners.errors import StoreError, StoreFullError
from tests.helpers.sources import WatchedSource
from tests.helpers.worker_runs import (
    assert_same_points,
    run,
)


def test_a_subject_that_cannot_be_loaded_fails_with_one_line(store: Store, spec: SweepSpec) -> None:
    wrong = replace(spec, subject=replace(spec.subject, model="sample:nothing"))
    row = worker.run_to_end(store, store.runs.create(wrong))
    assert row.state == "failed"
    assert row.error.startswith("unknown sample model 'nothing'")
    assert row.is_resumable
    assert not row.is_worth_resuming


def test_data_that_raises_in_mid_sweep_keeps_what_was_measured(store: Store) -> None:
    from analysis.records.subject import SubjectSpec
    from tests.helpers import tiny_factories

    spec = SweepSpec(
        subject=SubjectSpec(
            model="tests.helpers.tiny_factories:mlp",
            data="tests.helpers.tiny_factories:pairs",
            samples=24,
            calibration_samples=4,
            batch_size=4,
        ),
        criteria=("l1",),
        ratios=(0.5,),
    )
    subject = load_subject(spec.subject)
    split = subject.evaluation
    assert split is not None
    bad = split.indices[13]
    healthy = [False]

    def watch(indices: Sequence[int]) -> None:
        if not healthy[0] and bad in indices:
            raise OSError("disk read error\nat sector 7")

    damaged = Split(WatchedSource(split.source, watch), split.indices, form=(3,), preload_bytes=0)
    prepared = prepare(replace(subject, evaluation=damaged))
    assert tiny_factories.pairs()
    run_id = store.runs.create(spec)
    row = run(store, run_id, prepared)
    assert row.state == "failed"
    assert "raised in batch 5 of 7: OSError: disk read error" in row.error
    assert "\n" not in row.error
    assert row.progress.done == 12
    assert set(store.points.table(run_id)["samples"]) == {12}
    healthy[0] = True
    store.jobs.requeue(run_id)
    assert not store.runs.get(run_id).comes_again
    assert run(store, run_id, prepared).state == "done"
    assert set(store.points.table(run_id)["samples"]) == {24}


def test_a_bug_is_logged_with_its_traceback(store: Store, spec: SweepSpec) -> None:
    def broken(row: RunRow) -> PreparedSubject:
        raise KeyError("surprise")

    row = worker.run_to_end(store, store.runs.create(spec), open_sweep=broken)
    assert row.state == "failed"
    assert "KeyError" in row.error
    assert "Traceback" in store.runs.log_path(row.run_id).read_text(encoding="utf-8")
    store.runs.delete(row.run_id)
    assert not store.runs.log_path(row.run_id).exists()


def test_changed_weights_do_not_join_a_run(
    store: Store, spec: SweepSpec, prepared: PreparedSubject
) -> None:
    run_id = store.runs.create(spec)

    def stop(row: RunRow) -> None:
        if row.progress.done == 16 and row.state == "running":
            os.kill(os.getpid(), signal.SIGTERM)

    run(store, run_id, prepared, progress=stop)
    store.jobs.requeue(run_id)
    other = replace(prepared, subject=replace(prepared.subject, fingerprint="other"))
    row = run(store, run_id, other)
    assert (row.state, row.progress.done) == ("failed", 16)
    assert f"the weights or modules of run {run_id} changed" in row.error


def test_a_locked_database_is_waited_for(
    store: Store, spec: SweepSpec, prepared: PreparedSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = Store(store.workspace, busy_seconds=0.01)
    run_id = store.runs.create(spec)
    save = impatient.points.save
    tries: list[int] = []

    def locked_at_first(*given: object, **options: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            with store.database.write():
                save(*given, **options)  # type: ignore[arg-type]
        save(*given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(impatient.points, "save", locked_at_first)
    assert run(impatient, run_id, prepared).state == "done"
    assert len(tries) == 11
    impatient.close()


def test_a_full_disk_ends_the_run_with_its_reason_and_resuming_goes_on(
    store: Store,
    spec: SweepSpec,
    prepared: PreparedSubject,
    expected: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save = store.points.save

    def full(run_id: str, update: SweepUpdate, **more: Any) -> None:
        if update.progress.done == 64:
            raise StoreFullError("the disk of the workspace is full; free space and resume")
        save(run_id, update, **more)

    run_id = store.runs.create(spec)
    with monkeypatch.context() as patch:
        patch.setattr(store.points, "save", full)
        with pytest.raises(StoreError, match="is full"):
            run(store, run_id, prepared)
    row = store.runs.get(run_id)
    assert (row.state, row.progress.done) == ("failed", 48)
    assert "is full" in row.error
    store.jobs.requeue(run_id)
    assert run(store, run_id, prepared).state == "done"
    assert_same_points(store.points.table(run_id), expected)
