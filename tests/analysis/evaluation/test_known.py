"""Numbers of plans without their subjects: told while files are as they were, and never after."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from pathlib import Path

import pytest

from analysis.evaluation.known import Known
from analysis.records import Identity, Sums
from analysis.store.connection import FILE
from analysis.store.store import Store
from analysis.subjects.stamps import stamp
from tests.analysis.store.conftest import store as store
from tests.analysis.store.test_evaluations import IDENTITY, PLAN, evaluation

RIGHT, WRONG = 8, 2
SUMS = Sums(samples=10, terms={"correct": RIGHT, "gained": 0.0, "lost": WRONG})


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"first")
    return path


def test_a_measured_plan_is_known_until_a_file_changes(store: Store, weights: Path) -> None:
    """Plans showed live measurements only of subjects in memory."""
    subject = dataclasses.replace(PLAN.subject, model=f"{weights.parent / 'net.py'}:make")
    subject = dataclasses.replace(subject, model=f"{subject.model}#weights={weights}")
    plan = dataclasses.replace(PLAN, subject=subject, fingerprint=IDENTITY.weights)
    store.measurements.add(plan, IDENTITY, SUMS, recovered=True)
    # Nobody knows yet which content the files have.
    assert Known(store).of(plan) is None
    store.subjects.keep(subject, IDENTITY, dict(stamp(subject)))
    found = Known(store).of(plan)
    assert found is not None
    assert found.accuracy == RIGHT / 10
    assert found.drop == WRONG / 10
    assert found.low < found.accuracy < found.high
    assert found.drop_low < found.drop < found.drop_high
    assert found.evaluation is None
    for other in (
        dataclasses.replace(plan, repair="bn"),
        dataclasses.replace(plan, fingerprint="other weights"),
        dataclasses.replace(plan, subject=dataclasses.replace(subject, seed=5)),
    ):
        assert Known(store).of(other) is None
    store.evaluations.add(plan, IDENTITY, evaluation(0.5), calibration="c")
    evaluated = Known(store).of(plan)
    assert evaluated is not None
    assert evaluated.accuracy == 0.5
    weights.write_bytes(b"second")
    assert Known(store).of(plan) is None


@pytest.mark.parametrize("change", [{"data": "e"}, {"program": "q"}])
def test_an_evaluation_of_other_content_is_not_told(store: Store, change: dict[str, str]) -> None:
    plan = dataclasses.replace(PLAN, fingerprint=IDENTITY.weights)
    store.evaluations.add(plan, IDENTITY, evaluation(0.5), calibration="c")
    store.measurements.add(plan, IDENTITY, SUMS, recovered=True)
    assert Known(store).of(plan) is not None
    now: Identity = dataclasses.replace(IDENTITY, **change)
    store.subjects.keep(plan.subject, now, dict(stamp(plan.subject)))
    assert Known(store).of(plan) is None


@pytest.mark.parametrize("files", ["{", "[1]", '{"a": 1}'])
def test_a_damaged_row_is_as_if_the_subject_was_never_loaded(store: Store, files: str) -> None:
    plan = dataclasses.replace(PLAN, fingerprint=IDENTITY.weights)
    store.measurements.add(plan, IDENTITY, SUMS, recovered=True)
    stamps = dict(stamp(plan.subject))
    store.subjects.keep(plan.subject, IDENTITY, stamps)
    with contextlib.closing(sqlite3.connect(store.workspace / FILE, isolation_level=None)) as db:
        db.execute("UPDATE subjects SET files = ?", (files,))
    assert Known(store).of(plan) is None
    store.subjects.keep(plan.subject, IDENTITY, stamps)
    assert Known(store).of(plan) is not None
