"""Measured accuracy of the present plan, streamed into the page while it sharpens."""

from __future__ import annotations

import math
import time

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.evaluation import LiveResult, LoadedSubject
from analysis.plans import Prediction
from analysis.records import Plan
from pages.components.widgets import formatting

# With and without labels.
LABELS = {True: "Measured accuracy", False: "Same answer as dense"}
# Faster than this nobody reads, and each redraw takes time from the measurement.
REDRAW_SECONDS = 0.15


def show(
    result: LiveResult | None,
    slot: DeltaGenerator,
    note: DeltaGenerator,
    predicted: Prediction | None = None,
    *,
    labelled: bool = True,
) -> None:
    """Draw one state of the measurement, None before the first batch.

    The note always has its line: were it to come and go with each measurement, the table below
    would move by a row, and a click that is under way would hit the wrong layer.
    """
    with slot.container(height="stretch"):
        _metric(result, LABELS[labelled])
    if result is None:
        note.caption("Measuring live.")
        return
    surprise = ""
    if predicted is not None and result.is_final and predicted.is_contradicted(result.interval):
        surprise = (
            " :orange[:material/warning:] Outside of what the curves predict: these layers do not "
            "add up. Trust the measurement."
        )
    note.caption(f"Measured live: {caption(result)}.{surprise}")


def _metric(result: LiveResult | None, label: str) -> None:
    if result is None:
        st.metric(label, "measuring", border=True, height="stretch")
        return
    low, high = -result.interval.high, -result.interval.low
    st.metric(
        label,
        formatting.percent(result.accuracy),
        **formatting.delta(formatting.points(-result.drop), changed=result.drop != 0),
        delta_description=f"({formatting.points_range(low, high)})",
        help="Change against the dense model on the same samples, with its 95 % interval. "
        + caption(result),
        border=True,
        height="stretch",
    )


def caption(result: LiveResult) -> str:
    """Return the counts behind a result."""
    count = (
        f"{formatting.thousands(result.sums.count('correct'))} of "
        f"{formatting.thousands(result.samples)} right"
    )
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
    drawn, labelled = -math.inf, subject.prepared.subject.has_labels
    try:
        for result in subject.measure(plan):
            now = time.monotonic()
            if result.is_final or now - drawn >= REDRAW_SECONDS:
                show(result, slot, note, predicted, labelled=labelled)
                drawn = now
    except Exception:
        slot.metric(LABELS[labelled], formatting.DASH, border=True, height="stretch")
        note.caption("Not measured; the reason is at the end of this page.")
        raise
