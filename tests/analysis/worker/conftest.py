"""A small sweep, and its table when nothing interrupts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.records.sweep import SweepSpec
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from tests.helpers.tiny_subject import tiny_sweep, write_subject
from tests.helpers.worker_runs import run


@pytest.fixture(scope="session")
def spec(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    return tiny_sweep(write_subject(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="session")
def prepared(spec: SweepSpec) -> PreparedSubject:
    return prepare(load_subject(spec.subject))


@pytest.fixture(scope="session")
def expected(
    spec: SweepSpec, prepared: PreparedSubject, tmp_path_factory: pytest.TempPathFactory
) -> pd.DataFrame:
    """The table of a sweep that nothing interrupted."""
    store = Store(tmp_path_factory.mktemp("uninterrupted"))
    run_id = store.runs.create(spec)
    assert run(store, run_id, prepared).state == "done"
    # Who reads the run later has no model in memory.
    assert store.inventories.get(prepared.identity) == prepared.inventory
    table = store.points.table(run_id)
    store.close()
    return table


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "workspace")
    yield store
    store.close()
