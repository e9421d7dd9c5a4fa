"""The plan in the sidebar: totals, undo and redo; and its badges in the navigation."""

from __future__ import annotations

import streamlit as st

from analysis import plans
from pages.components.state import Session, evaluations, plan_state, subjects
from pages.components.widgets import formatting


def badges(current: Session) -> dict[str, str]:
    """Return the badges of Plan and Evaluate."""
    plan = plan_state.present()
    if plan is None or current.spec is None or plan.subject != current.spec:
        return {}
    pruned = plans.pruned_entries(plan)
    if not pruned:
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


def totals(current: Session) -> None:
    """Draw what the plan comes to, with undo and redo."""
    plan, past = plan_state.present(), plan_state.history()
    if plan is None or past is None or current.spec is None or plan.subject != current.spec:
        return
    st.caption("Plan")
    subject = subjects().peek(current.spec)
    if subject is not None and subject.identity.weights == plan.fingerprint:
        (dense_params, dense_macs), (params, macs) = subject.dense_size, subject.size(plan)
        st.markdown(
            f"**{formatting.si(params)}** of {formatting.si(dense_params)} parameters  \n"
            f"**{formatting.si(macs)}** of {formatting.si(dense_macs)} MACs  \n"
            f"{formatting.escaped(plan.recovery_words)}"
        )
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
