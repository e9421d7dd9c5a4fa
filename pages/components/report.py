"""The report of a plan, to download from the pages that show its numbers."""

from __future__ import annotations

import streamlit as st

from analysis.evaluation import LoadedSubject
from analysis.records import Evaluation, Plan
from analysis.recovery import training_recipe
from analysis.reporting import Report, plan_title, report_html
from pages.components.state import Session, session, tolerance, url_state
from pruners.errors import PruneScopeError


def offer(
    current: Session, subject: LoadedSubject, plan: Plan, found: Evaluation, *, key: str
) -> None:
    """Draw the button; the page of a report is made when it is clicked."""
    # What is made later runs outside of the page, and must not ask the session.
    report = _report(current, subject, plan, found)
    st.download_button(
        "Report",
        lambda: report_html(report),
        file_name=f"{url_state.value('plan') or 'plan'}.html",
        mime="text/html",
        icon=":material/description:",
        help="One HTML file to share: subject, baseline, curves, plan, evaluation and commands. "
        "It asks for nothing from elsewhere.",
        on_click="ignore",
        key=key,
    )


def _report(current: Session, subject: LoadedSubject, plan: Plan, found: Evaluation) -> Report:
    name = url_state.value("plan")
    title, note = plan_title(name or ""), ""
    if name is not None:
        try:
            saved = current.store.plans.saved_as(name)
        except PruneScopeError:
            pass
        else:
            title, note = plan_title(saved.label), saved.note
    run = None if current.run is None or current.is_stale else current.run
    # What was imported was not measured by a command that a report could name.
    run = None if run is not None and run.source is not None else run
    return Report(
        plan=plan,
        evaluation=found,
        identity=subject.identity,
        title=title,
        note=note,
        run=run,
        points=None if run is None else session.points(run),
        tolerance=tolerance.accepted(plan.subject.task),
        training=training_recipe(current.store.workspace, plan),
        inventory=subject.prepared.inventory,
    )
