"""What pages that read a run's points say when there is none, or when it is partial or stale."""

from __future__ import annotations

import streamlit as st

from analysis.imports import RESULT_FORMATS
from analysis.records import RunRow, SweepSpec
from analysis.snippets import run_sweep
from pages.components.state import Session, session, tolerance
from pages.components.widgets.code import offer
from pages.components.widgets.formatting import escaped, imported_answers, message, title_of
from pages.components.widgets.job import resume_banner
from pages.components.widgets.states import empty, no_labels, ribbon


def measured_run(current: Session) -> RunRow | None:
    """Return the run whose points are shown; else draw why there are none and what to do."""
    run = current.run
    if run is None:
        offer(run_sweep(SweepSpec(subject=current.chosen), session.named_workspace()))
        empty(
            "No sweep yet",
            "Curves come from a sweep over the layers. It shows its cost before it starts.",
            icon="speed",
            action="Plan a sweep",
            page="Sweep",
        )
        return None
    if session.points(run).empty and not current.is_live:
        resume_banner(current)
        offer(run_sweep(run.spec, session.named_workspace()))
        empty(
            "Nothing measured",
            f"Run {run.run_id} ended before its first batch was complete.",
            icon="hourglass_disabled",
            action="Open the sweep",
            page="Sweep",
        )
        return None
    return run


def ribbons(current: Session) -> None:
    """Say above the content that the run is partial or belongs to another subject."""
    run = current.run
    assert run is not None
    if run.source is not None:
        _say_source(run)
    if run.samples and not run.has_labels:
        no_labels(tolerance.words_of(run.quantity))
    model = escaped(title_of(run.spec.subject.model))
    if current.has_changed:
        ribbon(
            f"The weights, data or code of {model} have changed "
            "since these points were measured. Run a sweep again."
        )
    elif current.is_stale:
        ribbon(
            f"These points were measured on {model} with other settings than the subject on the "
            "Setup page. Run a sweep again, or open the run's subject on the Runs page."
        )
    resume_banner(current)


def _say_source(run: RunRow) -> None:
    """Say that the points were not measured here, and what is known of them."""
    source = run.source
    assert source is not None
    said = imported_answers(source.said)
    st.info(
        f"**Imported** from {escaped(source.file)}, written by "
        f"{RESULT_FORMATS.get(source.format).label}{said and f'; you said {escaped(said)}'}. "
        f"{message(' '.join(source.notes))}",
        icon=":material/move_to_inbox:",
    )
