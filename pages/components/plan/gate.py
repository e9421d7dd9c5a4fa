"""What Evaluate and Export need: a plan of the present subject that removes something."""

from __future__ import annotations

import streamlit as st

from analysis import plans
from analysis.records import Plan, SweepSpec
from analysis.sentences import capital
from analysis.snippets import run_sweep
from pages.components.state import Session, plan_state, session, url_state
from pages.components.widgets import code, empty, formatting, guarded, ribbon


def pruning_plan(current: Session) -> Plan | None:
    """Return the present plan; else draw what is missing and where to make it."""
    spec = current.chosen
    plan = plan_state.present()
    is_other = plan is None or plan.subject != spec
    known = session.identity(spec)
    has_changed = plan is not None and (known is None or known.weights != plan.fingerprint)
    if (is_other and url_state.value("plan")) or (has_changed and not is_other):
        # A link, a reload, or files that were written again: the plan needs its subject.
        with guarded("The plan of this link cannot be restored"):
            with st.spinner("Loading the subject", show_time=True):
                subject = session.loaded(spec)
            plan = plan_state.opened(current, subject.prepared)
    if plan is None or plan.subject != spec or not plans.pruned_entries(plan):
        code.offer(run_sweep(SweepSpec(subject=spec), session.named_workspace()))
        empty(
            "The plan removes nothing yet",
            "Choose a ratio for at least one layer; a uniform fill is one click.",
            icon="tune",
            action="Go to the plan",
            page="Plan",
        )
        return None
    say_unsaved()
    return plan


def say_unsaved() -> None:
    """Say above the numbers of a plan that the workspace does not have it, and why."""
    reason = plan_state.why_unsaved()
    if reason:
        _here_alone("This plan is", reason)


def say_unkept(what: str, reason: str) -> None:
    """Say that the workspace does not have what was measured, unless that was said of the plan.

    Args:
        what: What is in this session alone, with its verb.
        reason: Why; empty if the workspace has it.
    """
    if reason and not plan_state.why_unsaved():
        _here_alone(what, reason)


def _here_alone(what: str, reason: str) -> None:
    text = f"**{what} in this session alone.** {formatting.message(capital(reason))}."
    ribbon(text, icon="save")
