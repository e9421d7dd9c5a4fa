"""What a sweep keeps of the outputs, against removed models that are run one by one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.edits import PreparedSubject, edited_model, prepare
from analysis.records import SweepSpec
from analysis.store import Store
from analysis.subjects import load_subject
from analysis.sweeps import iter_sweep, plan_sweep
from analysis.tasks import CLASSIFICATION
from analysis.worker import run_to_end
from tests.helpers.sweep_tables import probe_of, table
from tests.helpers.tiny_subject import tiny_sweep, write_subject

PROBE = 70


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    subject = write_subject(tmp_path_factory.mktemp("subject"))
    return dataclasses.replace(tiny_sweep(subject), probe=PROBE)


@pytest.fixture(scope="module")
def prepared(spec: SweepSpec) -> PreparedSubject:
    return prepare(load_subject(spec.subject))


def test_changes_are_those_of_removed_models(spec: SweepSpec, prepared: PreparedSubject) -> None:
    """Of the first samples, also where a batch reaches beyond them."""
    planned = plan_sweep(prepared, spec)
    found = probe_of(iter_sweep(planned))
    assert prepared.subject.evaluation is not None
    inputs, _ = prepared.subject.evaluation.part(0, PROBE)
    with torch.inference_mode():
        dense = prepared.model(inputs)
        for item in planned.grid.items:
            removed = edited_model(prepared, item.edit(prepared))(inputs)
            for key in item.keys:
                assert found[key].dtype == np.float16
                np.testing.assert_allclose(found[key], (removed - dense).numpy(), atol=4e-3)
    assert set(found) == {key for item in planned.grid.items for key in item.keys}


@pytest.mark.parametrize("mode", ["exhaustive", "adaptive"])
def test_numbers_are_the_same_with_and_without(
    mode: str, spec: SweepSpec, prepared: PreparedSubject
) -> None:
    spec = dataclasses.replace(spec, mode=mode, tolerance=0.1)
    with_it = list(iter_sweep(plan_sweep(prepared, spec)))
    without = list(iter_sweep(plan_sweep(prepared, dataclasses.replace(spec, probe=0))))
    assert table(with_it[-1]) == table(without[-1])
    assert probe_of(with_it)
    assert not probe_of(without)
    # As many as were measured: an adaptive sweep decides some points on fewer samples.
    for key, changes in probe_of(with_it).items():
        assert len(changes) == min(PROBE, with_it[-1].sums[key].samples)


@pytest.mark.parametrize("mode", ["exhaustive", "adaptive"])
def test_a_cancelled_run_goes_on_with_what_it_has(
    mode: str, spec: SweepSpec, tmp_path: Path
) -> None:
    """The probe of a resumed run is that of an undisturbed one."""
    spec = dataclasses.replace(spec, mode=mode, tolerance=0.1)
    whole, torn = Store(tmp_path / "whole"), Store(tmp_path / "torn")
    expected = whole.probes.load(run_to_end(whole, whole.runs.create(spec)).run_id)
    run = torn.runs.create(spec)
    seen: list[int] = []

    def stop_soon(row: object) -> None:
        seen.append(1)
        if len(seen) == 4:
            torn.jobs.request_cancel(run)

    row = run_to_end(torn, run, progress=stop_soon)
    while row.state == "cancelled":
        torn.jobs.requeue(run)
        row = run_to_end(torn, run)
    found = torn.probes.load(run)
    assert expected is not None
    assert found is not None
    np.testing.assert_array_equal(found.dense, expected.dense)
    np.testing.assert_array_equal(found.truth, expected.truth)
    assert found.changes.keys() == expected.changes.keys()
    for key, changes in expected.changes.items():
        np.testing.assert_array_equal(found.changes[key], changes)


def test_another_run_knows_the_changes_of_the_first(spec: SweepSpec, tmp_path: Path) -> None:
    store = Store(tmp_path)
    run = run_to_end(store, store.runs.create(spec)).run_id
    first = store.probes.load(run)
    less = dataclasses.replace(spec, criteria=("l1",))
    second = store.probes.load(run_to_end(store, store.runs.create(less)).run_id)
    assert first is not None
    assert second is not None
    assert set(second.changes) == {key for key in first.changes if key.criterion == "l1"}
    # Of two probes each run has its own, although they share what was measured.
    small = dataclasses.replace(less, probe=30)
    third = store.probes.load(run_to_end(store, store.runs.create(small)).run_id)
    assert third is not None
    np.testing.assert_array_equal(third.dense, second.dense[:30])
    assert {key: len(change) for key, change in third.changes.items()} == dict.fromkeys(
        second.changes, 30
    )
    # A plan that only wanted to be predicted was a traceback.
    with store.database.write() as db:
        db.execute("UPDATE probes SET columns = 'x'")
    assert store.probes.load(run) is None


def test_a_run_that_began_has_a_number_of_samples(
    spec: SweepSpec, prepared: PreparedSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default is as large as it may be, and stays so for who resumes."""
    spec = dataclasses.replace(spec, probe=None)
    assert SweepSpec.from_json(spec.to_json()) == spec
    store = Store(tmp_path)
    run = store.runs.create(spec)
    assert store.runs.get(run).spec.probe is None
    row = run_to_end(store, run)
    found = store.probes.load(run)
    assert prepared.subject.evaluation is not None
    assert found is not None
    assert len(found.dense) == row.spec.probe == len(prepared.subject.evaluation)
    monkeypatch.setattr("analysis.measuring.probe.LEAST_SAMPLES", 50)
    monkeypatch.setattr("analysis.measuring.probe.PROBE_BYTES", 2 * 60 * found.dense.shape[1])
    # One sample fits more or less with each point.
    points = len(plan_sweep(prepared, spec).points)
    assert plan_sweep(prepared, spec).spec.probe == max(50, 60 // points)
    assert plan_sweep(prepared, row.spec).spec == row.spec


@pytest.mark.parametrize("has_labels", [True, False])
def test_of_many_classes_the_largest_logits_and_the_right_one_are_kept(has_labels: bool) -> None:
    """Memory is bounded; the slow way sorts each sample."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 1000, generator=generator)
    labels = torch.randint(1000, (50,), generator=generator)
    columns, truth = CLASSIFICATION.kept_outputs(logits, labels if has_labels else None)
    assert columns.shape == (50, 20) == (50, CLASSIFICATION.kept_count(1000))
    for sample, row in enumerate(logits.tolist()):
        best = sorted(range(1000), key=row.__getitem__, reverse=True)[:20]
        right = int(labels[sample]) if has_labels else best[0]
        kept = best if right in best else [*best[:-1], right]
        assert columns[sample].tolist() == kept
        assert kept[truth[sample]] == right


def test_of_few_classes_all_are_kept() -> None:
    columns, truth = CLASSIFICATION.kept_outputs(torch.randn(3, 10), torch.tensor([9, 0, 4]))
    assert columns.tolist() == [list(range(10))] * 3
    assert CLASSIFICATION.kept_count(10) == 10
    assert truth.tolist() == [9, 0, 4]
