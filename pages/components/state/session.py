"""What a page works on: workspace, subject and run.

Heavy objects live once per server process and are read-only for pages; what one person chose lives
in the session. Nothing here is written from another thread.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from analysis import curves, plans
from analysis.curves import GroupSize
from analysis.evaluation import LoadedSubject, keep_subject
from analysis.plans import Curves
from analysis.prediction import Forecaster, ProbedCurves
from analysis.records import Identity, Inventory, RunRow, SubjectSpec
from analysis.store import Store, uploads_folder
from analysis.subjects import roots_of_environment
from analysis.tasks import task_named
from pages.components.state import url_state
from pages.components.state.shared_subject import subject_of
from pages.components.state.subject_cache import subjects
from pages.components.state.url_state import PARAMETERS, put, put_subject, value
from pruners.errors import PruneScopeError, StoreError
from pruners.user_code import resolved

SUBJECT = "subject_spec"
IDENTITIES = "subject_identities"
# Id of the plan that this session saved last.
OWN_PLAN = "plan_own"


@dataclass(frozen=True)
class Session:
    """What the present page shows.

    Attributes:
        store: The workspace.
        spec: The subject, if one was chosen.
        run: The run that the address names, if any.
        broken: Why the address cannot be followed; empty if it can.
    """

    store: Store
    spec: SubjectSpec | None
    run: RunRow | None
    broken: str = ""

    @property
    def chosen(self) -> SubjectSpec:
        """The subject, on pages that need one: the frame lets nobody in without."""
        assert self.spec is not None
        return self.spec

    @property
    def is_live(self) -> bool:
        """Whether the run is still being worked on."""
        return self.run is not None and self.run.is_live

    @property
    def is_stale(self) -> bool:
        """Whether the run was made for another subject than the one that is worked on."""
        if self.run is None or self.spec is None:
            return False
        return self.run.spec.subject != self.spec or self.has_changed

    @property
    def has_changed(self) -> bool:
        """Whether the subject in memory is another one than the run measured."""
        if self.run is None or self.spec is None or self.run.spec.subject != self.spec:
            return False
        subject = subjects().peek(self.spec)
        return subject is not None and not subject.is_of(self.run)


def workspace() -> Path:
    """Return the workspace folder that the launcher chose."""
    return resolved(os.environ.get("PRUNESCOPE_WORKSPACE") or "~/.prunescope")


def named_workspace() -> Path | None:
    """Return the workspace for a command line; None for the one that commands take anyway."""
    found = workspace().resolve()
    return None if found == Path("~/.prunescope").expanduser().resolve() else found


def roots() -> tuple[Path, ...]:
    """Return the folders below which paths and factories typed into a page may lie.

    What was uploaded lies in the workspace; no Python file gets there.
    """
    return (*(roots_of_environment() or (Path.cwd(),)), uploads_folder(workspace()))


@st.cache_resource(show_spinner=False)
def _store(path: str) -> Store:
    return Store(Path(path))


def store() -> Store:
    """Return the workspace's store, one per server process."""
    return _store(str(workspace()))


def loaded(spec: SubjectSpec) -> LoadedSubject:
    """Return a subject, loaded now if it is not in memory as its files are.

    A session that worked with the files as they were before is told.

    Raises:
        PruneScopeError: It cannot be loaded.
    """
    found = subjects().get(spec, roots(), store().statistics_folder)
    key = spec.to_json()
    known: dict[str, Identity] = st.session_state.setdefault(IDENTITIES, {})
    if known.get(key) != found.identity:
        with contextlib.suppress(StoreError):
            # Where nothing can be written, numbers of plans are told by subjects in memory alone.
            keep_subject(store(), found.prepared)
    if known.setdefault(key, found.identity) != found.identity:
        known[key] = found.identity
        st.toast(
            "The files of this subject have changed since it was loaded. It was loaded again.",
            icon=":material/sync_problem:",
            duration="long",
        )
    return found


def identity(spec: SubjectSpec) -> Identity | None:
    """Return what the numbers of a subject in memory depend on; None if it is not in memory."""
    subject = subjects().peek(spec)
    return None if subject is None else subject.identity


def points(run: RunRow) -> pd.DataFrame:
    """Return a run's points table, read again only when the run has moved on."""
    return _points(str(workspace()), *stamp(run))


@st.cache_resource(show_spinner=False)
def inventories() -> dict[tuple[str, Identity], Inventory]:
    """Return those of this server process, by workspace and content."""
    return {}


def inventory(run: RunRow) -> Inventory | None:
    """Return layers and groups of the model that a run measured, without loading it.

    Runs of older programs left none: it is taken once, from the model in memory.
    """
    known, key = inventories(), (str(workspace()), run.model_identity)
    if key not in known:
        found = store().inventories.get(run.model_identity)
        subject = subjects().peek(run.spec.subject)
        if found is None and subject is not None and run.fingerprint and subject.is_of(run):
            found = subject.prepared.inventory
            with contextlib.suppress(StoreError):
                # Where nothing can be written, it is taken again by the next server.
                store().inventories.keep(run.identity, found)
        if found is None:
            return None
        known[key] = found
    return known[key]


def groups(run: RunRow) -> dict[str, GroupSize]:
    """Return what stands behind each of a run's curves; empty where nobody knows."""
    found = inventory(run)
    return {} if found is None else curves.group_sizes(points(run), found)


def layer_places(run: RunRow) -> list[str]:
    """Return what curves can be of, in one order for all runs of a subject: it fixes colours."""
    found = inventory(run)
    known = [] if found is None else [row.layers[0] for row in found.groups if row.layers]
    return list(dict.fromkeys([*known, *curves.layer_order(points(run))]))


def stamp(run: RunRow) -> tuple[str, int, str]:
    """Return what changes whenever a run's points do."""
    return (run.run_id, run.saves, run.state)


def tolerated(run: RunRow, *, tolerance: float) -> pd.DataFrame:
    """Return what each layer tolerates by each criterion, computed once a save."""
    return _tolerated(str(workspace()), *stamp(run), tolerance)


def envelopes(run: RunRow) -> Curves:
    """Return the envelopes of a run's curves, computed once a save; shared, not to be changed."""
    return _envelopes(str(workspace()), *stamp(run))


def forecaster(run: RunRow) -> Forecaster:
    """Return what predicts a run's plans, made anew when points or measured plans have changed."""
    learnt = store().measurements.stamp(run.identity)
    return _forecaster(str(workspace()), *stamp(run), learnt, _run=run)


@st.cache_resource(max_entries=16, show_spinner=False)
def _forecaster(
    path: str, run_id: str, saves: int, state: str, learnt: tuple[int, int, float], *, _run: RunRow
) -> Forecaster:
    return Forecaster(
        _run.spec,
        _points(path, run_id, saves, state),
        _probed(path, run_id, saves, state, _run=_run),
        _store(path).measurements.all(_run.identity),
        curves=_envelopes(path, run_id, saves, state),
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def _probed(path: str, run_id: str, saves: int, state: str, *, _run: RunRow) -> ProbedCurves | None:
    probe = _store(path).probes.load(run_id)
    if probe is None:
        return None
    task = task_named(_run.spec.subject.task)
    return ProbedCurves(_points(path, run_id, saves, state), probe, task)


@st.cache_resource(max_entries=16, show_spinner=False)
def _envelopes(path: str, run_id: str, saves: int, state: str) -> Curves:
    return plans.envelopes(_points(path, run_id, saves, state))


@st.cache_data(max_entries=16, show_spinner=False)
def _tolerated(path: str, run_id: str, saves: int, state: str, tolerance: float) -> pd.DataFrame:
    return curves.tolerated(_points(path, run_id, saves, state), tolerance=tolerance)


@st.cache_data(max_entries=16, show_spinner=False)
def _points(path: str, run_id: str, saves: int, state: str) -> pd.DataFrame:
    return _store(path).points.table(run_id)


def choose_subject(spec: SubjectSpec) -> None:
    """Make a subject the one that this session studies, and that its links lead to."""
    st.session_state[SUBJECT] = spec.to_dict()
    st.session_state.pop(url_state.WRITTEN_FOR, None)
    _put_in_link(spec)


def _put_in_link(spec: SubjectSpec) -> None:
    written_for = (*map(value, url_state.NAMING), spec)
    if st.session_state.get(url_state.WRITTEN_FOR) == written_for:
        return
    run, named = _run_subject(), _named_subject()
    put_subject(None if run == spec == named else spec, named)
    st.session_state[url_state.WRITTEN_FOR] = written_for


def _run_subject() -> SubjectSpec | None:
    try:
        return store().runs.get(value("run")).spec.subject if value("run") else None
    except PruneScopeError:
        return None


def _named_subject() -> SubjectSpec | None:
    """Return the subject of the plan in the address, else of its run; None without one."""
    with contextlib.suppress(PruneScopeError):
        if value("plan") is not None:
            return store().plans.get(value("plan")).subject
    return _run_subject()


def open_run(run_id: str) -> None:
    """Attach the session to a run and to its subject."""
    put("run", run_id)
    put("plan", None)
    choose_subject(store().runs.get(run_id).spec.subject)


def start_fresh() -> None:
    """Forget run, plan and choices of the address; the subject stays."""
    for name, parameter in PARAMETERS.items():
        put(name, parameter.default)
    put_subject(_chosen())


def _chosen() -> SubjectSpec | None:
    found = st.session_state.get(SUBJECT)
    return SubjectSpec.from_dict(found) if found else None


def _lost_plan() -> str:
    """Return why the plan that the address names cannot be read; empty if it can."""
    name = value("plan")
    if name is None or name == st.session_state.get(OWN_PLAN):
        return ""
    try:
        store().plans.get(name)
    except PruneScopeError as error:
        return str(error)
    return ""


def _follow_subject() -> str:
    """Take the subject of the address: what it says, and what it leaves out of its plan or run.

    Returns:
        Why the address cannot be followed; empty if it can.
    """
    if url_state.has_other_subject():
        try:
            shared = subject_of(st.query_params.to_dict(), _named_subject())
        except PruneScopeError as error:
            return str(error)
        if shared is not None:
            choose_subject(shared)
    named = _named_subject() if SUBJECT not in st.session_state else None
    if named is not None:
        choose_subject(named)
    return ""


def open_session() -> Session:
    """Read the session: subject of the address, of its own, else that of its plan or run."""
    run, broken = None, _follow_subject()
    run_id = value("run")
    if run_id:
        try:
            run = store().runs.get(run_id)
        except PruneScopeError as error:
            broken = str(error)
    broken = _lost_plan() or broken
    spec = _chosen()
    if spec is not None:
        _put_in_link(spec)
    return Session(store=store(), spec=spec, run=run, broken=broken)
