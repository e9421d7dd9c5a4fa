"""Measured accuracy of the present plan, streamed into the page while it sharpens."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.evaluation import LiveResult, LoadedSubject, RepairState
from analysis.plans import Prediction, pruned_entries
from analysis.records import Plan, Progress
from analysis.sentences import capital
from analysis.store import Store
from analysis.subjects import Subject
from analysis.tasks import Task
from pages.components.widgets import formatting
from pruners.errors import StoreError

# Faster than this nobody reads, and each redraw takes time from the measurement.
REDRAW_SECONDS = 0.15


def label(subject: Subject, plan: Plan) -> str:
    """Return what the card is called."""
    if subject.evaluation is None or subject.has_labels:
        name = f"Measured {subject.task.words.label}"
    else:
        name = "Same answer as dense" if subject.task.right else "Agreement with dense"
    return f"{name} after {plan.recovered_by}" if is_repaired(plan) else name


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """How far the measurement of a plan is.

    Attributes:
        raw: Without the plan's repair; None before the first batch.
        repaired: With it; None before its first batch, and where nothing is repaired.
        progress: Of the repair, while it is under way.
    """

    raw: LiveResult | None = None
    repaired: LiveResult | None = None
    progress: Progress | None = None


def is_repaired(plan: Plan) -> bool:
    """Return whether something is pruned, and the plan is repaired or trained."""
    return plan.is_recovered and bool(pruned_entries(plan))


def known(subject: LoadedSubject, plan: Plan) -> Measured:
    """Return what was measured of a plan before."""
    repaired = subject.known_repaired(plan) if is_repaired(plan) else None
    return Measured(subject.known(plan), repaired)


def remember(store: Store, subject: LoadedSubject, plan: Plan) -> str:
    """Note what a plan measured: Plans shows it, and the next prediction learns from it.

    Returns:
        Why the workspace did not take it; empty if it did.
    """
    if not pruned_entries(plan):
        return ""
    found = known(subject, plan)
    # The calibration samples of the repair are those of what was measured.
    plan = dataclasses.replace(plan, subject=subject.prepared.subject.spec)
    try:
        for result, is_recovered in ((found.raw, False), (found.repaired, True)):
            if result is not None:
                store.measurements.add(
                    plan,
                    subject.identity,
                    result.sums,
                    recovered=is_recovered,
                    change=result.change,
                )
    except StoreError as error:
        return str(error)
    return ""


def show(
    found: Measured,
    slot: DeltaGenerator,
    note: DeltaGenerator,
    subject: Subject,
    plan: Plan,
    predicted: Prediction | None = None,
) -> None:
    """Draw one state of the measurement.

    The card is of the model that Evaluate measures and Export writes: the repaired one, where the
    plan repairs. The note always has its lines: were they to come and go with each measurement, the
    table below would move by a row, and a click that is under way would hit the wrong layer.
    """
    repairs = is_repaired(plan)
    with slot.container(height="stretch"):
        if repairs and found.repaired is None:
            _pending(found, subject, plan)
        else:
            _metric(found.repaired if repairs else found.raw, subject, plan)
    note.caption("  \n".join(_lines(found, subject.task, plan, predicted)))


def _lines(
    found: Measured, task: Task, plan: Plan, predicted: Prediction | None
) -> tuple[str, ...]:
    raw, surprise = found.raw, ""
    if raw and raw.is_final and predicted and predicted.is_contradicted(raw.interval):
        surprise = (
            " :orange[:material/warning:] Outside of the predicted interval. Trust the measurement."
        )
    if not is_repaired(plan):
        line = "Measuring." if raw is None else f"Measured live: {caption(raw, task)}.{surprise}"
        return (line, "Nothing to repair yet.") if plan.is_recovered else (line,)
    before = "Before the training" if plan.trained else "Before the repair"
    if raw is None:
        first = f"{before}: measuring."
    else:
        first = (
            f"{before}: **{formatting.score(raw.accuracy, task.words)}** "
            f"({task.words.drop_label} {formatting.drop(raw.drop, task.words)}), "
            f"{caption(raw, task)}.{surprise}"
        )
    if found.repaired is None:
        return first, f"After {plan.recovered_by}: {_step(found)}."
    return first, f"After {plan.recovered_by}: {caption(found.repaired, task)}."


def _step(found: Measured) -> str:
    if found.progress is None:
        return "repairing" if found.raw is not None and found.raw.is_final else "to come"
    now = found.progress
    return f"repairing, {now.done} of {now.total} {now.unit}"


def _pending(found: Measured, subject: Subject, plan: Plan) -> None:
    share = (
        ""
        if found.progress is None
        else f" {formatting.percent(found.progress.fraction, digits=0)}"
    )
    st.metric(
        label(subject, plan),
        f"repairing{share}" if found.raw is not None else "measuring",
        help=f"What is measured is {formatting.escaped(plan.recovery_words)}.",
        border=True,
        height="stretch",
    )


def _metric(result: LiveResult | None, subject: Subject, plan: Plan) -> None:
    task = subject.task
    if result is None:
        st.metric(label(subject, plan), "measuring", border=True, height="stretch")
        return
    low, high = result.interval.low, result.interval.high
    st.metric(
        label(subject, plan),
        formatting.score(result.accuracy, task.words),
        **formatting.drop_card(result.drop, low, high, task.words),
        help=f"{capital(task.words.drop_noun)} against the dense model on the same samples, with "
        "its 95 % interval; above zero it is a loss. " + caption(result, task),
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
    """Measure a plan, repair and measure it again, and redraw meanwhile; call last on a page.

    An edit that arrives meanwhile ends this at the next redraw; what other sessions measure goes
    on.
    """
    drawn, studied = -math.inf, subject.prepared.subject
    found = Measured()
    try:
        with closing(_states(subject, plan)) as states:
            for found, is_last in states:
                now = time.monotonic()
                if is_last or now - drawn >= REDRAW_SECONDS:
                    show(found, slot, note, studied, plan, predicted)
                    drawn = now
    except Exception:
        slot.metric(label(studied, plan), formatting.DASH, border=True, height="stretch")
        lines = _lines(found, studied.task, plan, predicted) if found.raw else ()
        note.caption(
            "  \n".join([*lines[:1], "Not measured; the reason is at the end of this page."])
        )
        raise


def _states(subject: LoadedSubject, plan: Plan) -> Generator[tuple[Measured, bool], None, None]:
    """Yield states of the measurement, and whether a stage is complete."""
    found = known(subject, plan)
    for raw in subject.measure(plan):
        found = dataclasses.replace(found, raw=raw)
        yield found, raw.is_final
    if found.repaired is None and is_repaired(plan):
        state = RepairState()
        with closing(subject.repair(plan)) as steps:
            for state in steps:
                found = dataclasses.replace(found, progress=state.progress)
                yield found, state.recovery is not None
        assert state.recovery is not None
        for repaired in subject.measure_repaired(plan, state.recovery):
            found = dataclasses.replace(found, repaired=repaired)
            yield found, repaired.is_final
