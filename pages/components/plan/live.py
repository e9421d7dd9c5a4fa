"""Measured accuracy of the present plan, streamed into the page while it sharpens."""

from __future__ import annotations

import math
import time

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.evaluation import LiveResult, LoadedSubject
from analysis.plans import Prediction
from analysis.records import Plan
from analysis.subjects import Subject
from analysis.tasks import Task
from pages.components.widgets import formatting

# Faster than this nobody reads, and each redraw takes time from the measurement.
REDRAW_SECONDS = 0.15


def label(subject: Subject) -> str:
    """Return what the card is called."""
    if subject.evaluation is None or subject.has_labels:
        return f"Measured {subject.task.words.label}"
    return "Same answer as dense" if subject.task.right else "Agreement with dense"


def show(
    result: LiveResult | None,
    slot: DeltaGenerator,
    note: DeltaGenerator,
    subject: Subject,
    predicted: Prediction | None = None,
) -> None:
    """Draw one state of the measurement, None before the first batch.

    The note always has its line: were it to come and go with each measurement, the table below
    would move by a row, and a click that is under way would hit the wrong layer.
    """
    with slot.container(height="stretch"):
        _metric(result, subject)
    if result is None:
        note.caption("Measuring live.")
        return
    surprise = ""
    if predicted is not None and result.is_final and predicted.is_contradicted(result.interval):
        surprise = (
            " :orange[:material/warning:] Outside of what the curves predict: these layers do not "
            "add up. Trust the measurement."
        )
    note.caption(f"Measured live: {caption(result, subject.task)}.{surprise}")


def _metric(result: LiveResult | None, subject: Subject) -> None:
    task = subject.task
    if result is None:
        st.metric(label(subject), "measuring", border=True, height="stretch")
        return
    low, high = result.interval.low, result.interval.high
    st.metric(
        label(subject),
        formatting.score(result.accuracy, task.words),
        **formatting.drop_card(result.drop, task.words),
        delta_description=f"({formatting.drop_range(low, high, task.words)})",
        help="Drop against the dense model on the same samples, with its 95 % interval; above zero "
        "it is a loss. " + caption(result, task),
        border=True,
        height="stretch",
    )


def caption(result: LiveResult, task: Task) -> str:
    """Return the counts behind a result."""
    count = task.evidence(result.sums) + (" right" if task.right else "")
    if result.is_final:
        return f"{count} in {formatting.duration(result.seconds)}"
    return f"{count}, {formatting.thousands(result.total - result.samples)} samples to go"


def stream(
    subject: LoadedSubject,
    plan: Plan,
    slot: DeltaGenerator,
    note: DeltaGenerator,
    predicted: Prediction | None = None,
) -> None:
    """Measure a plan and redraw after each batch; call last on a page.

    An edit that arrives meanwhile ends this at the next redraw; what other sessions measure goes
    on.
    """
    drawn, studied = -math.inf, subject.prepared.subject
    try:
        for result in subject.measure(plan):
            now = time.monotonic()
            if result.is_final or now - drawn >= REDRAW_SECONDS:
                show(result, slot, note, studied, predicted)
                drawn = now
    except Exception:
        slot.metric(label(studied), formatting.DASH, border=True, height="stretch")
        note.caption("Not measured; the reason is at the end of this page.")
        raise
