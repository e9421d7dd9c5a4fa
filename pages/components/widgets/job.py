"""A sweep that runs in its own process, seen from the pages: chip, progress, cancel, resume."""

from __future__ import annotations

import streamlit as st

from analysis.records import RunRow
from analysis.worker import launch
from pages.components.state import Session, session, url_state
from pages.components.widgets.formatting import (
    duration,
    message,
    percent,
    plural,
    progress,
    title_of,
)
from pages.components.widgets.states import guarded, refreshed

# State -> (icon, colour of the badge, word). The word tells it without the colour.
STATES = {
    "queued": ("hourglass_empty", "blue", "queued"),
    "running": ("sync", "blue", "running"),
    "done": ("check", "green", "done"),
    "cancelled": ("pause_circle", "orange", "cancelled"),
    "interrupted": ("power_off", "orange", "interrupted"),
    "failed": ("error", "red", "failed"),
}

COMES_AGAIN = "It would stop there again: change what it names, and start a new sweep."


def badge(run: RunRow, *, share: bool = True) -> str:
    """Return the run's state as a Markdown badge, with the share that is done while it runs."""
    if run.source is not None:
        return ":blue-badge[:material/move_to_inbox: imported]"
    icon, color, word = STATES[run.state]
    if run.state == "running" and share:
        word = percent(run.progress.fraction, digits=0)
    return f":{color}-badge[:material/{icon}: {word}]"


def line(run: RunRow) -> str:
    """Return the run's progress in one line."""
    if not run.is_live and not run.samples:
        return "Nothing was measured"
    done = progress(run.progress)
    if run.progress.unit == "curves":
        done += " decided"
    if run.is_live and run.progress.total is None:
        if run.queue_position:
            return f"Waiting for {plural(run.queue_position, 'sweep')} on the same device"
        return "Starting: the model is loaded and scored"
    if run.is_live and run.eta_seconds is None:
        return f"{done} \N{MIDDLE DOT} measuring"
    if run.is_live:
        return f"{done} \N{MIDDLE DOT} about {duration(run.eta_seconds)} left"
    return done


def nothing_yet(run: RunRow) -> str:
    """Say why a run has no points yet, or never got any."""
    if not run.is_live:
        verb = "failed" if run.state == "failed" else f"was {STATES[run.state][2]}"
        return f"Nothing was measured before the sweep {verb}."
    if run.progress.total is None:
        return f"{line(run)}. All curves appear after its first batch."
    return "The first batch is being measured; all curves appear together."


def chip(current: Session) -> None:
    """Draw the running sweep in the sidebar, refreshed each second while it runs.

    A sweep that another tab started is offered, so that its tab need not be found.
    """
    if current.run is None or not current.is_live:
        _offer(current)
        return
    st.caption("Job")
    run = current.run
    refreshed(_chip, run.run_id, run.state, every=1.0, title="The run cannot be read")


def _offer(current: Session) -> None:
    running = next((row for row in current.store.runs.all() if row.is_live), None)
    if running is None:
        return
    st.caption("Job")
    st.button(
        f"Attach to {running.run_id}",
        key="chip_attach",
        icon=":material/sync:",
        on_click=session.open_run,
        args=(running.run_id,),
        width="stretch",
        help=f"A sweep of {title_of(running.spec.subject.model)} is running.",
    )


def _chip(run_id: str, state: str) -> None:
    run = session.store().runs.get(run_id)
    if run.state != state:
        # The page around this fragment, its badges too, shows the state; at the end the timer
        # stops with it.
        st.rerun()
    st.progress(run.progress.fraction, text=f"Sweep `{run_id}`")
    st.caption(line(run))
    st.button(
        "Cancel",
        key="chip_cancel",
        icon=":material/stop_circle:",
        on_click=cancel,
        args=(run_id,),
        disabled=run.cancel_requested,
        width="stretch",
        help="Stops after the batch in flight; what was measured stays.",
    )


def cancel(run_id: str) -> None:
    """Ask the worker to stop."""
    launch.cancel(session.store(), run_id)
    st.toast("Stopping after the batch in flight; what was measured stays.")


def resume(run_id: str) -> None:
    """Continue a run that did not end; only what is missing is measured."""
    with guarded("The run cannot be resumed"):
        launch.resume(session.store(), run_id, roots=session.roots())
        url_state.put("run", run_id)


def why_stopped(run: RunRow) -> str:
    """Say where a run stopped before its end, and why, in Markdown."""
    share = percent(run.progress.fraction, digits=0)
    where, kept = f"at {share}", " What was measured is kept."
    if not run.samples:
        where, kept = "before anything was measured", ""
    return {
        "cancelled": f"Cancelled {where}.{kept}",
        "interrupted": f"The worker stopped answering {where}.{kept}",
        "failed": f"Stopped {where}: {message(run.error or 'no reason was recorded')}",
    }[run.state]


def resume_banner(current: Session) -> None:
    """Say that a run stopped before its end, why, and offer to go on where that may help."""
    run, place = current.run, st.container()
    if run is None or not run.is_resumable:
        return
    with place, st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"{badge(run)} {why_stopped(run)}", width="stretch")
        if not run.is_worth_resuming:
            st.caption(COMES_AGAIN)
            return
        st.button(
            "Resume",
            icon=":material/play_arrow:",
            on_click=resume,
            args=(run.run_id,),
            type="primary",
            key=f"resume_{run.run_id}",
        )
