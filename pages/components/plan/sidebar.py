"""The plan in the sidebar: totals, undo and redo; and its badges in the navigation."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis import plans
from analysis.plans import History
from analysis.records import Plan
from pages.components.state import Session, evaluations, plan_state, session, subjects
from pages.components.widgets import formatting
from pruners.errors import PruneScopeError

NAMES = ("parameters", "MACs")


def badges(current: Session) -> dict[str, str]:
    """Return the badges of Plan and Evaluate."""
    plan = None if current.spec is None else plan_state.of_subject(current.spec)
    pruned = () if plan is None else plans.pruned_entries(plan)
    if plan is None or not pruned:
        return {}
    found = {"Plan": f":violet-badge[{formatting.plural(len(pruned), 'layer')}]"}
    last = evaluations.of(plan)
    if last is not None:
        found["Evaluate"] = (
            ":green-badge[:material/check: done]"
            if last.is_current
            else ":orange-badge[:material/history: stale]"
        )
    return found


def _sizes(plan: Plan) -> list[str]:
    """Return what the plan leaves of the model, as far as that is known before it is loaded."""
    subject, saved = subjects().peek(plan.subject), plan_state.of_address()
    if subject is not None:
        if subject.identity.weights != plan.fingerprint:
            return []
        return _amounts(subject.size(plan), subject.dense_size)
    known = (None, None) if saved is None else (saved.params_left, saved.macs_left)
    shares = [share for share in known if share is not None]
    if len(shares) < len(NAMES):
        return []
    dense = _dense_size(plan)
    if dense is not None:
        return _amounts([share * most for share, most in zip(shares, dense, strict=True)], dense)
    return [
        f"**{formatting.percent(share, digits=1)}** of the {name}"
        for share, name in zip(shares, NAMES, strict=True)
    ]


def _amounts(left: Sequence[float], dense: Sequence[float]) -> list[str]:
    return [
        f"**{formatting.si(few)}** of {formatting.si(most)} {name}"
        for few, most, name in zip(left, dense, NAMES, strict=True)
    ]


def _dense_size(plan: Plan) -> tuple[int, int] | None:
    """Return the size of the dense model as the plan's run knows it; None without one."""
    if plan.run is None:
        return None
    try:
        run = session.store().runs.get(plan.run)
    except PruneScopeError:
        return None
    found = session.inventory(run) if run.fingerprint == plan.fingerprint else None
    return None if found is None else (found.params, found.macs)


def totals(current: Session) -> None:
    """Draw what the plan comes to, with undo and redo."""
    plan = None if current.spec is None else plan_state.of_subject(current.spec)
    if plan is None:
        return
    past = plan_state.history() or History.start(plan)
    unsaved = ":orange-badge[:material/save: not kept]" if plan_state.why_unsaved() else ""
    st.caption(f"Plan {unsaved}".strip())
    st.markdown("  \n".join([*_sizes(plan), formatting.escaped(plan.recovery_words)]))
    # Not Ctrl+Z: it would undo the plan as well when a text field is edited.
    with st.container(horizontal=True):
        st.button(
            "Undo",
            key="sidebar_undo",
            icon=":material/undo:",
            on_click=plan_state.undo,
            disabled=not past.can_undo,
            help=past.undo_action or "Nothing to undo",
            shortcut="Alt+Z",
            width="stretch",
        )
        st.button(
            "Redo",
            key="sidebar_redo",
            icon=":material/redo:",
            on_click=plan_state.redo,
            disabled=not past.can_redo,
            help=past.redo_action or "Nothing to redo",
            shortcut="Alt+Shift+Z",
            width="stretch",
        )
