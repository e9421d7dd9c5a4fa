"""The plan in the sidebar: totals, undo and redo; and its badges in the navigation."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import streamlit as st

from analysis import plans
from analysis.evaluation import Evaluation
from analysis.records import Identity, Plan
from analysis.recovery import Recovery
from analysis.repairs import NO_REPAIR
from pages.components.state import EVALUATED, Session, plan_state, subjects
from pages.components.widgets import formatting

# Each holds the tensors of its repair.
MAX_FINISHED = 8


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """What was measured last: a plan, and the very model that Evaluate showed.

    Attributes:
        plan: The plan.
        identity: The subject that it was measured on.
        evaluation: Its numbers.
        recovery: The repair behind them; None without one.
    """

    plan: Plan
    identity: Identity
    evaluation: Evaluation
    recovery: Recovery | None

    def is_of(self, plan: Plan) -> bool:
        """Return whether these are numbers of a plan on its subject as the files are now."""
        subject = subjects().peek(plan.subject)
        return self.plan == plan and subject is not None and subject.identity == self.identity


def evaluated(plan: Plan) -> Evaluated | None:
    """Return what was measured of a plan; else what was measured last in this session."""
    known = _finished().get(plan.to_json())
    if known is not None and known.is_of(plan):
        return known
    last: Evaluated | None = st.session_state.get(EVALUATED)
    return last


def keep_evaluated(found: Evaluated) -> None:
    """Keep what was measured: for this session, and for all that come to this plan."""
    st.session_state[EVALUATED] = found
    finished = _finished()
    finished[found.plan.to_json()] = found
    while len(finished) > MAX_FINISHED:
        finished.popitem(last=False)


@st.cache_resource(show_spinner=False)
def _finished() -> OrderedDict[str, Evaluated]:
    """Return what the sessions of this process have measured last, by plan."""
    return OrderedDict()


def badges(current: Session) -> dict[str, str]:
    """Return the badges of Plan and Evaluate."""
    plan = plan_state.present()
    if plan is None or current.spec is None or plan.subject != current.spec:
        return {}
    pruned = plans.pruned_entries(plan)
    if not pruned:
        return {}
    found = {"Plan": f":violet-badge[{formatting.plural(len(pruned), 'layer')}]"}
    last = evaluated(plan)
    if last is not None:
        fresh = last.is_of(plan)
        found["Evaluate"] = (
            ":green-badge[:material/check: done]"
            if fresh
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
            + ("not repaired" if plan.repair == NO_REPAIR else f"repaired by **{plan.repair}**")
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
