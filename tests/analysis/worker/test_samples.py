"""Samples of other tasks: killed and gone on with, and decided early, with the same answers."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.edits import prepare
from analysis.records import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.store.store import Store
from analysis.subjects import load_subject
from analysis.sweeps import iter_sweep, plan_sweep
from analysis.sweeps.adaptive import answers
from tests.analysis.worker.test_worker import committed, forked
from tests.helpers.worker_runs import run

# Sample -> its data, its task, and a late layer, which costs little.
SAMPLES = {
    "unet_small": ("scenes", "segmentation", "decoders.2.3"),
    "llama_tiny": ("king-james", "language_modelling", "layers.3.gate_proj"),
    "kws_conv1d": ("keywords", "classification", "blocks.3.conv1"),
}
# An interval by groups decides nothing on fewer than 64 samples.
COUNT, BATCH = 80, 16


def slowed(store: Store) -> Store:
    """Return the store with a pause behind each batch, so that no run ends before it is killed."""
    save = store.points.save

    def saved(*given: Any, **more: Any) -> None:
        save(*given, **more)
        time.sleep(1)

    store.points.save = saved  # type: ignore[method-assign]
    return store


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_a_killed_sweep_goes_on_to_the_same_table_and_adaptive_answers_are_the_same(
    name: str, tmp_path: Path
) -> None:
    """On each sample of a task of its own."""
    data, task, layer = SAMPLES[name]
    subject = SubjectSpec(
        model=f"sample:{name}",
        data=f"sample:{data}",
        task=task,
        samples=COUNT,
        batch_size=BATCH,
        calibration_samples=0,
    )
    spec = SweepSpec(subject=subject, criteria=("l1",), ratios=(0.1, 0.5, 0.9), layers=layer)
    prepared = prepare(load_subject(subject))
    calm, store = Store(tmp_path / "calm"), Store(tmp_path / "killed")
    calm_id = calm.runs.create(spec)
    assert run(calm, calm_id, prepared).state == "done"
    run_id = store.runs.create(spec)
    store.close()
    child = forked(lambda: run(slowed(Store(store.workspace)), run_id, prepared))
    while committed(store, run_id) == 0:
        threading.Event().wait(0.001)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "the run ended before it was killed"
    assert 0 < store.runs.get(run_id).progress.done < COUNT
    store.jobs.requeue(run_id)
    assert run(store, run_id, prepared).state == "done"
    found, expected = store.points.table(run_id), calm.points.table(calm_id)
    assert len(found) == 3
    columns = [column for column in found if column not in ("run_id", "seconds")]
    pd.testing.assert_frame_equal(found[columns], expected[columns], check_exact=True)
    whole = calm.points.state(calm_id)
    calm.close()
    store.close()

    tolerance, task_of = 0.02, prepared.subject.task
    last = list(iter_sweep(plan_sweep(prepared, spec), resume=whole))[-1]
    assert last.sums.keys() == whole.sums.keys()
    adaptive = replace(spec, mode="adaptive", tolerance=tolerance)
    early = list(iter_sweep(plan_sweep(prepared, adaptive)))[-1]
    assert early.inferred
    assert answers(early, tolerance=tolerance, task=task_of) == answers(
        last, tolerance=tolerance, task=task_of
    )
