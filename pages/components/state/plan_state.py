"""The plan that a session edits: history with undo, kept in the session and saved by id."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from analysis import plans, repairs
from analysis.edits import PreparedSubject, targets
from analysis.plans import History
from analysis.records import Plan, SavedPlan, SubjectSpec, SweepSpec
from analysis.repairs import NO_REPAIR, Choice
from analysis.sentences import listed
from pages.components.state.session import OWN_PLAN, Session, choose_subject, store
from pages.components.state.subject_cache import subjects
from pages.components.state.url_state import put, value
from pruners.criteria import CRITERIA
from pruners.errors import PruneScopeError, StoreError

HISTORY = "plan_history"
REVISION = "plan_revision"
LAST_EDIT = "plan_last_edit"
# A history that the workspace did not take, and why.
UNSAVED = "plan_unsaved"


def history() -> History | None:
    """Return the session's history, if a plan was begun."""
    return st.session_state.get(HISTORY)


def present() -> Plan | None:
    """Return the present plan."""
    past = history()
    return None if past is None else past.plan


def of_address() -> SavedPlan | None:
    """Return the plan that the address names, while no page has restored it; None without one."""
    if value("plan") is None or history() is not None:
        return None
    try:
        return store().plans.saved_as(value("plan"))
    except PruneScopeError:
        return None


def of_subject(spec: SubjectSpec) -> Plan | None:
    """Return the plan that pages of a subject work on, before they are drawn; None without one."""
    saved, plan = of_address(), present()
    if saved is not None:
        plan = saved.plan
    if plan is None or plan.subject.model != spec.model:
        return None
    subject = subjects().peek(spec)
    if saved is not None and subject is not None and subject.identity.weights != plan.fingerprint:
        return None
    return dataclasses.replace(plan, subject=spec)


def why_unsaved() -> str:
    """Return why the workspace does not have the present plan; empty if it has it."""
    past, reason = st.session_state.get(UNSAVED, (None, ""))
    return reason if past is not None and past is history() else ""


def revision() -> int:
    """Return the number of changes of the plan, by which fields see that theirs is outdated."""
    return int(st.session_state.get(REVISION, 0))


def begin(plan: Plan, *, action: str = "start") -> None:
    """Start a history with a plan."""
    _store(History.start(plan, action=action))


def do(plan: Plan, *, action: str) -> None:
    """Make a plan the present one, undoable."""
    past = history()
    if past is None:
        begin(plan, action=action)
    else:
        _store(past.do(plan, action=action))


def leave() -> None:
    """Leave the session's plan: the one of the address is restored next."""
    st.session_state.pop(HISTORY, None)


def undo() -> None:
    """Take the last action back."""
    past = history()
    if past is not None:
        _store(past.undo())


def redo() -> None:
    """Bring back what was taken back."""
    past = history()
    if past is not None:
        _store(past.redo())


def _store(new: History, *, takes_equal: bool = False) -> None:
    """Keep a history; its writing is the last access to the session, which may end any of them.

    Args:
        new: The history.
        takes_equal: Where the plan would be a new one, take a saved one that is equal, if any: a
            link that is opened again saves no second one.
    """
    st.session_state[REVISION] = revision() + 1
    # A plan that came by link belongs to somebody else: the first edit makes a plan of one's own.
    own = value("plan") if st.session_state.get(OWN_PLAN) == value("plan") else None
    saved = store().plans.id_of_equal(new.plan) if takes_equal and own is None else None
    try:
        if saved is None:
            saved = store().plans.save(new.plan, plan_id=own, **_left(new.plan))
            if own is None:
                st.session_state[OWN_PLAN] = saved
    except StoreError as error:
        # What can be shown of it, measured and exported does not hang on that.
        st.session_state[UNSAVED] = (new, str(error))
    else:
        # The saved plan's subject may be another one than before: links leave out what is as there.
        put("plan", saved)
    st.session_state[HISTORY] = new


def save(plan: Plan) -> str:
    """Save a plan as a new one, with its size, and return its id."""
    return store().plans.save(plan, plan_id=None, **_left(plan))


def _left(plan: Plan) -> dict[str, float]:
    """Return what the list of plans says of a plan's size, where the subject is in memory."""
    subject = subjects().peek(plan.subject)
    if subject is None or subject.identity.weights != plan.fingerprint:
        return {}
    (dense_params, dense_macs), (params, macs) = subject.dense_size, subject.size(plan)
    return {"params_left": params / max(dense_params, 1), "macs_left": macs / max(dense_macs, 1)}


def open_plan(plan_id: str) -> None:
    """Make a saved plan the one that this session edits, with its subject and its run."""
    plan = store().plans.get(plan_id)
    known = plan.run is not None and plan.run in {row.run_id for row in store().runs.all()}
    put("run", plan.run if known else None)
    put("plan", plan_id)
    st.session_state.pop(HISTORY, None)
    st.session_state[OWN_PLAN] = plan_id
    choose_subject(plan.subject)


def forget(plan_id: str) -> None:
    """Delete a saved plan, and leave it where this session edits it."""
    store().plans.delete(plan_id)
    if value("plan") == plan_id:
        put("plan", None)
        for key in (HISTORY, OWN_PLAN):
            st.session_state.pop(key, None)


def ensure(current: Session, prepared: PreparedSubject) -> Plan:
    """Return the present plan of this subject; restore or begin one if there is none.

    A plan that was saved under the address's id is restored, so that a link and a reload lead to
    the same plan.
    """
    plan = present()
    if plan is not None and plan.fingerprint == prepared.subject.fingerprint:
        return _carried_over(plan, current, prepared)
    fresh = empty_plan(current, prepared)
    saved = _saved(prepared)
    if saved is not None:
        fresh = plans.expand(saved, fresh)
        st.session_state[HISTORY] = History.start(fresh)
        st.session_state[REVISION] = revision() + 1
    else:
        put("plan", None)
        _begin_empty(fresh)
    return fresh


def _begin_empty(plan: Plan) -> None:
    """Start a history with a plan that removes nothing; the first edit is what keeps it."""
    if value("plan") is None:
        st.session_state[REVISION] = revision() + 1
        st.session_state[HISTORY] = History.start(plan)
    else:
        begin(plan)


def opened(current: Session, prepared: PreparedSubject) -> Plan:
    """Return what `ensure` returns, for a page whose frame is drawn.

    A page that opens with a plan, or makes another one of it, is drawn anew: its sidebar was drawn
    before.
    """
    before = history()
    plan = ensure(current, prepared)
    if history() is not before and plans.pruned_entries(plan):
        st.rerun()
    return plan


def _carried_over(plan: Plan, current: Session, prepared: PreparedSubject) -> Plan:
    """Return a plan of the same weights for what the session looks at now.

    A plan that removes nothing follows the run that is open; any other plan stays what it is, and
    is measured on the samples of the present subject.
    """
    if not plans.pruned_entries(plan) and not is_for(plan, current):
        plan = empty_plan(current, prepared)
        _begin_empty(plan)
    elif plan.subject != prepared.subject.spec:
        past = history()
        assert past is not None
        past = past.on(prepared.subject.spec)
        _store(past, takes_equal=True)
        plan = past.plan
    return plan


def start_over(plan: Plan) -> None:
    """Replace the present plan by one that removes nothing; undo brings it back."""
    do(plan, action="start from the open run")


def saved() -> Plan | None:
    """Return the plan of the address as the workspace has it; None without one."""
    try:
        return None if value("plan") is None else store().plans.get(value("plan"))
    except PruneScopeError:
        return None


def _saved(prepared: PreparedSubject) -> Plan | None:
    plan = saved()
    if plan is None or plan.fingerprint == prepared.subject.fingerprint:
        return plan
    st.toast(
        f"Plan {value('plan')} was made for other weights or modules than the subject has now. "
        "A new plan was begun; the old one stays in the workspace.",
        icon=":material/sync_problem:",
        duration="long",
    )
    return None


def empty_plan(current: Session, prepared: PreparedSubject) -> Plan:
    """Return a plan that removes nothing, at the run's granularity and first criterion."""
    spec = current.run.spec if current.run is not None and not current.is_stale else None
    granularity = spec.granularity if spec else _default_granularity(prepared)
    units = [
        (target.layer, target.group, target.total)
        for target in targets(prepared, granularity)
        if target.prunable
    ]
    semantics = spec.semantics if spec else "removal"
    plan = plans.new_plan(
        prepared.subject.spec,
        fingerprint=prepared.subject.fingerprint,
        units=units,
        criterion=_first_criterion(spec),
        granularity=granularity,
        run=current.run.run_id if spec and current.run is not None else None,
        semantics=semantics,
        reduction=spec.reduction if spec else "mean",
    )
    return dataclasses.replace(plan, repair=usual_repair(prepared, plan).name)


def of_run(current: Session, points: pd.DataFrame) -> Plan | None:
    """Return a plan that removes nothing from what a run measured, without its model.

    Args:
        current: The session.
        points: The points table of the open run; what has no point has no entry.

    Returns:
        None where the run says nothing of which weights were measured.
    """
    run = current.run
    if run is None or not run.fingerprint or points.empty:
        return None
    spec = run.spec
    rows = points.drop_duplicates("layer").to_dict("records")
    groups = [row["group"] if isinstance(row["group"], str) else None for row in rows]
    return plans.new_plan(
        current.chosen,
        fingerprint=run.fingerprint,
        units=[
            (row["layer"], group, int(row["total"]))
            for row, group in zip(rows, groups, strict=True)
        ],
        criterion=_first_criterion(spec),
        granularity=spec.granularity,
        run=run.run_id,
        semantics=spec.semantics,
        reduction=spec.reduction,
    )


def _first_criterion(spec: SweepSpec | None) -> str:
    """Return the run's first criterion; an imported one need not be known here."""
    known = [name for name in (spec.criteria if spec else ()) if name in CRITERIA]
    return known[0] if known else "l1"


def usual_repair(prepared: PreparedSubject, plan: Plan) -> Choice:
    """Return the repair that new plans begin with, and why."""
    subject = prepared.subject
    if subject.evaluation is not None and subject.calibration is None:
        return Choice(NO_REPAIR, "the subject has no calibration samples; Setup gives it some")
    return repairs.usual_repair(
        prepared,
        semantics=plan.semantics,
        granularities=[entry.granularity for entry in plan.entries],
    )


def _default_granularity(prepared: PreparedSubject) -> str:
    return "channel" if prepared.structure is not None else "element"


def last_edit() -> dict[str, Any] | None:
    """Return which edit of which table was applied last; None before the first."""
    return dict(st.session_state.get(LAST_EDIT, {})) or None


def edit(sent: Mapping[str, Any]) -> tuple[str, ...]:
    """Apply the edits of a table to the present plan as one undoable step, each one once.

    A table sends an edit again and again until it sees it in `last_edit`. Streamlit ends a callback
    at its next access to the session when another rerun is asked for: the history and the number
    of the last edit that it has change with no access between them.

    Args:
        sent: ``client``, the table's own name, and ``items``: ``number`` (rising), ``key`` of the
            entry, ``field`` and ``value``.

    Returns:
        The layers that changed.
    """
    plan, known = present(), st.session_state.setdefault(LAST_EDIT, {})
    if plan is None:
        return ()
    last = int(known["number"]) if known.get("client") == sent["client"] else 0
    new = sorted(
        (item for item in sent["items"] if int(item["number"]) > last),
        key=lambda item: int(item["number"]),
    )
    if not new:
        return ()
    changed, names = plan, {entry.name for entry in plan.entries}
    for item in new:
        if item["key"] in names:
            changed = _changed(changed, item["key"], item["field"], item["value"])
    pairs = zip(changed.entries, plan.entries, strict=True)
    layers = tuple(entry.layer for entry, old in pairs if entry != old)
    if layers:
        do(changed, action=f"edit {listed(layers)}")
    known.update(client=sent["client"], number=int(new[-1]["number"]))
    return layers


def _changed(plan: Plan, key: str, field: str, value: Any) -> Plan:
    if field == "ratio":
        return plans.set_ratio(plan, key, float(value) / 100)
    if field == "criterion":
        return plans.set_criterion(plan, key, str(value))
    return plans.lock(plan, key, locked=bool(value))


def is_for(plan: Plan, current: Session) -> bool:
    """Say whether a plan was made from the run that is open."""
    return current.run is None or current.is_stale or plan.run == current.run.run_id
