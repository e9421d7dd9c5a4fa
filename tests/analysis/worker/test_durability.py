"""What goes wrong while a sweep runs: nothing that was measured is lost, and the run says why."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from analysis import worker
from analysis.edits.prepared import PreparedSubject, prepare
from analysis.engine import KeptBatch
from analysis.measuring import measure
from analysis.records.run import RunRow
from analysis.records.sweep import SweepSpec
from analysis.store.connection import FILE
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from analysis.sweeps import plan_sweep
from pruners.errors import StoreError
from tests.helpers.tiny_subject import tiny_sweep, write_subject

MODES = ["exhaustive", "adaptive"]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    sweep = tiny_sweep(write_subject(tmp_path_factory.mktemp("tiny")))
    return replace(sweep, criteria=("l1", "taylor"), tolerance=0.15)


@pytest.fixture(scope="module")
def prepared(spec: SweepSpec) -> PreparedSubject:
    return prepare(load_subject(spec.subject))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "workspace")
    yield store
    store.close()


def run(store: Store, run_id: str, prepared: PreparedSubject, **options: object) -> RunRow:
    return worker.run_to_end(
        store, run_id, open_sweep=lambda row: plan_sweep(prepared, row.spec), **options
    )  # type: ignore[arg-type]


def calm_table(spec: SweepSpec, prepared: PreparedSubject, folder: Path) -> pd.DataFrame:
    """The table of a sweep that nothing disturbs."""
    store = Store(folder / "calm")
    run_id = store.runs.create(spec)
    assert run(store, run_id, prepared).state == "done"
    table = store.points.table(run_id)
    store.close()
    return table


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    columns = [name for name in found if name not in ("run_id", "seconds")]
    pd.testing.assert_frame_equal(found[columns], expected[columns], check_exact=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of half a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    with contextlib.suppress(OSError):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            yield folder
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
            return
    pytest.skip("mounting takes privileges that these tests do not have")


def test_a_run_knows_how_long_was_worked_for_what_is_kept(
    store: Store, spec: SweepSpec, prepared: PreparedSubject
) -> None:
    """Only a worker that came to its end wrote it: one that was killed "took 0.0 s"."""
    told: list[tuple[int, float]] = []
    run_id, start = store.runs.create(spec), time.perf_counter()
    end = run(store, run_id, prepared, progress=lambda row: told.append((row.samples, row.seconds)))
    whole = time.perf_counter() - start
    # Before anything is kept, nothing is known.
    assert {seconds for samples, seconds in told if not samples} == {0.0}
    worked = [seconds for samples, seconds in told if samples]
    assert len(worked) > 2
    assert worked == sorted(worked)
    assert 0 < worked[0] < worked[-2] < end.seconds < whole


@pytest.mark.parametrize("mode", MODES)
def test_a_disk_that_fills_up_ends_the_run_and_resuming_goes_on(
    mode: str, spec: SweepSpec, prepared: PreparedSubject, small_disk: Path, tmp_path: Path
) -> None:
    spec = replace(spec, mode=mode)
    store = Store(small_disk / "workspace")
    filler = small_disk / "filler"
    run_id = store.runs.create(spec)
    kept: list[int] = []

    def fill(row: RunRow) -> None:
        kept.append(samples(store, run_id))
        if len(kept) > 4 and not filler.exists():
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * 512)

    with pytest.raises(StoreError, match=r"disk of the workspace .* is full"):
        run(store, run_id, prepared, progress=fill)
    filler.unlink()
    # The end may be written or not, on a full disk; whoever looks sees that nobody works on it.
    with store.database.write() as db:
        db.execute("UPDATE runs SET heartbeat = 0 WHERE run_id = ?", (run_id,))
    assert store.runs.get(run_id).state in ("failed", "interrupted")
    assert samples(store, run_id) >= kept[-1] > 0
    store.jobs.requeue(run_id)
    assert run(store, run_id, prepared).state == "done"
    assert_same(store.points.table(run_id), calm_table(spec, prepared, tmp_path))
    store.close()


def test_a_file_that_may_not_grow_loses_one_batch(
    store: Store, spec: SweepSpec, prepared: PreparedSubject, tmp_path: Path
) -> None:
    run_id = store.runs.create(spec)
    seen: list[int] = []

    def limit(row: RunRow) -> None:
        seen.append(samples(store, run_id))
        if len(seen) == 5:
            size = (store.workspace / f"{FILE}-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(StoreError, match=r"the workspace database .* failed: disk I/O error"):
            run(store, run_id, prepared, progress=limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with store.database.write() as db:
        db.execute("UPDATE runs SET heartbeat = 0 WHERE run_id = ?", (run_id,))
    assert samples(store, run_id) >= seen[-1] > 0
    store.jobs.requeue(run_id)
    assert run(store, run_id, prepared).state == "done"
    assert_same(store.points.table(run_id), calm_table(spec, prepared, tmp_path))


def samples(store: Store, run_id: str) -> int:
    return sum(sums.samples for sums in store.points.state(run_id).sums.values())


@pytest.mark.parametrize("mode", MODES)
def test_an_edit_that_gives_nan_fails_alone(
    mode: str,
    store: Store,
    spec: SweepSpec,
    prepared: PreparedSubject,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = replace(spec, mode=mode)
    evaluate = prepared.evaluator.provisional
    broken: set[tuple[int, ...]] = set()

    def sometimes_nan(batch: KeptBatch, edit: dict[str, Tensor]) -> Tensor:
        logits = evaluate(batch, edit)
        removed = tuple(int((tensor == 0).sum()) for tensor in edit.values())
        broken.add(removed) if not broken else None
        if removed in broken:
            logits = logits.clone()
            logits[0, 0] = torch.nan
        return logits

    monkeypatch.setattr(prepared.evaluator, "provisional", sometimes_nan)
    run_id = store.runs.create(spec)
    row = run(store, run_id, prepared)
    assert (row.state, row.error) == ("done", "")
    table = store.points.table(run_id)
    failed = table[table["status"] == "failed"]
    assert 0 < len(failed) < len(table) / 2
    assert failed["accuracy"].isna().all()
    assert {reason for reason in store.points.reasons(run_id).values() if "not finite" in reason}
    others = table[table["status"] != "failed"]
    assert set(others["status"]) <= {"measured", "inferred"}
    assert mode == "adaptive" or set(others["samples"]) == {160}


@pytest.mark.parametrize("mode", MODES)
def test_data_that_raises_ends_the_run_and_resuming_goes_on(
    mode: str,
    store: Store,
    spec: SweepSpec,
    prepared: PreparedSubject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = replace(spec, mode=mode)
    split = prepared.subject.evaluation
    assert split is not None
    part = split.part

    def damaged(first: int, last: int) -> tuple[Tensor, Tensor | None]:
        if first >= 64:
            raise OSError("disk read error\nat sector 7")
        return part(first, last)

    run_id = store.runs.create(spec)
    with monkeypatch.context() as patch:
        patch.setattr(split, "part", damaged)
        row = run(store, run_id, prepared)
    assert row.state == "failed"
    assert row.error.endswith("raised in batch 5 of 10: OSError: disk read error")
    before = samples(store, run_id)
    assert before > 0
    store.jobs.requeue(run_id)
    assert run(store, run_id, prepared).state == "done"
    assert_same(store.points.table(run_id), calm_table(spec, prepared, tmp_path))


@pytest.mark.parametrize("mode", MODES)
def test_ctrl_c_twice_stops_at_once_and_resuming_goes_on(
    mode: str,
    store: Store,
    spec: SweepSpec,
    prepared: PreparedSubject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = replace(spec, mode=mode)
    evaluate = prepared.evaluator.provisional
    calls: list[int] = []

    def impatient(batch: KeptBatch, edit: dict[str, Tensor]) -> Tensor:
        calls.append(1)
        if len(calls) in (30, 31):
            os.kill(os.getpid(), signal.SIGINT)
        return evaluate(batch, edit)

    run_id = store.runs.create(spec)
    with monkeypatch.context() as patch:
        # The sweep does not ask whether to stop: the second Ctrl-C must be enough.
        patch.setattr("analysis.sweeps.executors.local.measure", unasking)
        patch.setattr(prepared.evaluator, "provisional", impatient)
        row = run(store, run_id, prepared)
    assert len(calls) == 31
    assert (row.state, row.error) == ("cancelled", "")
    assert samples(store, run_id) > 0
    store.jobs.requeue(run_id)
    assert run(store, run_id, prepared).state == "done"
    assert_same(store.points.table(run_id), calm_table(spec, prepared, tmp_path))


def unasking(*given: Any, **options: Any) -> Any:
    return measure(*given, **{**options, "cancel": lambda: False})


def test_two_runs_at_once_measure_no_point_twice(
    store: Store, spec: SweepSpec, prepared: PreparedSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are entered before either begins; the second takes what the first measured."""
    from analysis.sweeps.executors.local import LocalExecutor

    measured: list[tuple[int, frozenset[object]]] = []
    measure = LocalExecutor.measure
    # Under load the first would else be done before the second has looked at the queue.
    waits = threading.Event()

    def noted(self: LocalExecutor, tasks: object, cancel: object) -> object:
        assert waits.wait(timeout=60)
        for number, items in tasks:  # type: ignore[attr-defined]
            measured.extend((number, frozenset(item.keys)) for item in items)
        return measure(self, tasks, cancel)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalExecutor, "measure", noted)
    wide = replace(spec, ratios=(0.0, 0.25, 0.5))
    narrow = replace(spec, ratios=(0.25, 0.5, 0.75))
    first, second = store.runs.create(wide), store.runs.create(narrow)
    other = threading.Thread(target=run, args=(store, first, prepared))
    other.start()
    while store.runs.get(first).state == "queued":
        time.sleep(0.001)
    positions: list[int] = []

    def seen(row: RunRow) -> None:
        positions.append(row.queue_position)
        waits.set()

    row = run(store, second, prepared, progress=seen)
    other.join()
    assert (row.state, store.runs.get(first).state) == ("done", "done")
    assert positions[0] == 1
    cells = [(number, key) for number, keys in measured for key in keys]
    assert len(cells) == len(set(cells))
    merged = store.points.table(store.runs.merge([first, second]))
    assert sorted(set(merged["ratio_requested"])) == [0.0, 0.25, 0.5, 0.75]
    assert set(merged["samples"]) == {160}
