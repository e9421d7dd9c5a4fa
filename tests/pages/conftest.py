"""Workspaces in every state a page can meet, and pages run without a browser."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.evaluation.session import LoadedSubject
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from analysis.sweeps import plan_sweep
from analysis.sweeps.sweep import iter_sweep
from pages.components.state.subject_cache import subjects
from tests.pages.reading import MANY, ROOT, SUBJECT, SWEEP, Open

OWNER = "test"


@pytest.fixture(autouse=True, scope="session")
def one_scan() -> Iterator[None]:
    """Streamlit reads what is installed, for components, once and not for each opened page."""
    with pytest.MonkeyPatch.context() as patch:
        scan = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        yield


@pytest.fixture(scope="session")
def prepared() -> PreparedSubject:
    """The subject of all page tests, loaded once."""
    return prepare(load_subject(SUBJECT))


def measure(store: Store, prepared: PreparedSubject, spec: SweepSpec, *, samples: int) -> str:
    """Enter a run and measure its first samples, as a worker does, without a process."""
    run_id = store.runs.create(spec)
    store.jobs.attach(run_id, owner=OWNER, pid=os.getpid(), host=socket.gethostname())
    assert store.jobs.claim_device(run_id)
    store.inventories.keep(prepared.identity, prepared.inventory)
    store.jobs.describe(
        run_id,
        identity=prepared.identity,
        has_labels=True,
        total_samples=120,
        versions={},
    )
    store.points.enter(run_id, plan_sweep(prepared, spec).identified)
    if samples:
        for update in iter_sweep(plan_sweep(prepared, spec)):
            store.points.save(run_id, update, owner=OWNER)
            if update.samples == samples:
                break
    return run_id


@pytest.fixture(scope="session")
def templates(
    prepared: PreparedSubject, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, str]]:
    """A workspace with one run in each state, and the run's id; "many" is done, by 19 criteria."""
    found: dict[str, tuple[Path, str]] = {}
    states = {"running": 40, "cancelled": 80, "failed": 0, "done": 120, "many": 120}
    for state, samples in states.items():
        place = tmp_path_factory.mktemp(state)
        store = Store(place)
        run_id = measure(store, prepared, MANY if state == "many" else SWEEP, samples=samples)
        if state != "running":
            error = "the disk of the data is gone" if state == "failed" else ""
            end = "done" if state == "many" else state
            store.jobs.finish(run_id, end, owner=OWNER, seconds=1.0, error=error)
        store.close()
        found[state] = (place, run_id)
    return found


@pytest.fixture
def workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: PreparedSubject
) -> Iterator[Path]:
    """An empty workspace that the pages use; the subject is in memory already."""
    place = tmp_path / "workspace"
    monkeypatch.setenv("PRUNESCOPE_WORKSPACE", str(place))
    monkeypatch.setenv("PRUNESCOPE_ROOTS", json.dumps([str(tmp_path)]))
    st.cache_data.clear()
    st.cache_resource.clear()
    subjects().put(SUBJECT, LoadedSubject(prepared))
    yield place
    st.cache_resource.clear()


@pytest.fixture
def open_page(workspace: Path, templates: dict[str, tuple[Path, str]]) -> Open:
    """Open a page on a workspace with a run in some state: ``open_page("Curves", "done")``."""

    def opened(
        page: str, state: str | None = None, *, subject: SubjectSpec | None = None, **query: str
    ) -> AppTest:
        if state is not None:
            source, run_id = templates[state]
            shutil.copytree(source, workspace)
            query = {"run": run_id, **query}
            if state == "running":
                # The worker's last sign of life is now.
                Store(workspace).jobs.beat(run_id, owner=OWNER)
        test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in query.items():
            test.query_params[name] = value
        if subject is not None:
            test.session_state["subject_spec"] = subject.to_dict()
        if page != "Home":
            test.switch_page(f"pages/{page}.py")
        return test.run()

    return opened


@pytest.fixture
def other_subject() -> SubjectSpec:
    """The same model on other samples: runs of `SUBJECT` are stale for it."""
    return dataclasses.replace(SUBJECT, seed=7)
