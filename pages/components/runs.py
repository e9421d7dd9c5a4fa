"""The Runs page: list, open, resume, delete with a question, merge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import streamlit as st

from analysis.records import DamagedRun, RunRow
from analysis.snippets import list_runs
from analysis.tasks import scoring_of
from pages.components.state import Session, session, url_state
from pages.components.widgets import code, formatting, go, guarded, job, refreshed
from pruners.criteria import label_of
from pruners.errors import PruneScopeError

MAX_NAME = 120


def draw(current: Session) -> None:
    """Draw the page."""
    code.offer(list_runs(session.named_workspace()))
    offer_import()
    rows, damaged = current.store.runs.all(), current.store.runs.damaged()
    _damaged(damaged)
    live = any(row.is_live for row in rows)
    refreshed(_list, live, every=2.0 if live else None, title="The runs cannot be read")


def offer_import() -> None:
    """Offer to bring what other tools measured."""
    if st.button("Import results", icon=":material/move_to_inbox:", key="runs_import"):
        go("Import")


def _damaged(runs: Sequence[DamagedRun]) -> None:
    """Name the runs that cannot be read, and offer to delete them."""
    for run in runs:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                f":orange[:material/warning:] Run `{run.run_id}` cannot be read: "
                f"{formatting.message(run.reason)}",
                width="stretch",
            )
            if st.button(
                "Delete", icon=":material/delete:", key=f"runs_delete_damaged_{run.run_id}"
            ):
                _confirm([run.run_id])


def _list(was_live: bool) -> None:
    rows = session.store().runs.all()
    if was_live and not any(row.is_live for row in rows):
        st.rerun()
    st.dataframe(
        pd.DataFrame([_row(row) for row in rows]),
        hide_index=True,
        key="runs_table",
        on_select="rerun",
        selection_mode="multi-row",
        column_config={
            "run": st.column_config.TextColumn("Run", pinned=True),
            "name": "Name",
            "state": "State",
            "progress": st.column_config.ProgressColumn(
                "Progress", format="%.0f %%", min_value=0, max_value=100, width=80
            ),
            "model": "Model",
            "data": "Data",
            "criteria": "Criteria",
            "granularity": "Granularity",
            "settings": st.column_config.TextColumn(
                "Settings", help="What is not as usual.", width=150
            ),
            "baseline": st.column_config.TextColumn(
                "Baseline", help="Of the dense model on the same samples."
            ),
            "duration": "Took",
            "created": st.column_config.DatetimeColumn("Started", format="YYYY-MM-DD HH:mm"),
            "points": st.column_config.NumberColumn("Points", format="localized"),
            "samples": st.column_config.NumberColumn("Samples", format="localized"),
            "error": "Reason",
        },
        alt="Runs of this workspace, newest first",
    )
    picked = [
        rows[place]
        for place in st.session_state["runs_table"]["selection"]["rows"]
        if place < len(rows)
    ]
    names = [row.run_id for row in rows]
    if not picked:
        # The grid is a canvas: the same choice for keyboards and screen readers.
        chosen = st.multiselect(
            "Select runs", names, key="runs_pick", placeholder="in the table or here"
        )
        picked = [row for row in rows if row.run_id in chosen]
    _actions(picked)


def _row(row: RunRow) -> dict[str, object]:
    spec = row.spec
    return {
        "run": row.run_id,
        "state": "imported" if row.source is not None else job.STATES[row.state][2],
        "progress": row.progress.fraction * 100,
        "name": row.name,
        "model": formatting.title_with_details(spec.subject.model),
        "data": formatting.title_with_details(spec.subject.data or "no data"),
        "criteria": formatting.listed([label_of(name) for name in spec.criteria]),
        "granularity": spec.granularity,
        "settings": formatting.settings_of(spec),
        "baseline": _baseline(row),
        "duration": formatting.duration(row.seconds) if row.seconds else formatting.DASH,
        "created": datetime.fromtimestamp(row.created),
        "points": row.points,
        "samples": row.samples,
        "error": formatting.on_pages(row.error or ""),
    }


def _baseline(row: RunRow) -> str:
    """Return the dense model's score; empty where nothing was measured, or there is no right."""
    if row.source is not None and row.source.baseline is not None:
        return formatting.score(row.source.baseline, scoring_of(row.quantity).words)
    if row.baseline is None or not row.baseline.samples or not row.has_labels:
        return ""
    scoring = scoring_of(row.spec.subject.task)
    return formatting.score(scoring.score(row.baseline), scoring.words)


def _rename(run_id: str, key: str) -> None:
    session.store().runs.rename(run_id, st.session_state[key])


def _actions(picked: list[RunRow]) -> None:
    one = picked[0] if len(picked) == 1 else None
    with st.container(horizontal=True):
        if st.button(
            "Open",
            icon=":material/folder_open:",
            type="primary",
            disabled=one is None,
            key="runs_open",
        ):
            assert one is not None
            session.open_run(one.run_id)
            go("Sweep" if one.is_live else "Curves")
        if st.button(
            "Resume",
            icon=":material/play_arrow:",
            disabled=one is None or not one.is_worth_resuming,
            key="runs_resume",
        ):
            assert one is not None
            job.resume(one.run_id)
            session.open_run(one.run_id)
            go("Sweep")
        if st.button(
            "Cancel",
            icon=":material/stop_circle:",
            disabled=one is None or not one.is_live,
            key="runs_cancel",
        ):
            assert one is not None
            job.cancel(one.run_id)
        if st.button(
            "Merge",
            icon=":material/merge:",
            disabled=len(picked) != 2,
            key="runs_merge",
            help="Joins the points of two runs of one subject into a new run.",
        ):
            _merge(picked)
        if st.button("Delete", icon=":material/delete:", disabled=not picked, key="runs_delete"):
            _confirm([row.run_id for row in picked])
    if one is not None and one.is_resumable:
        # The table has the reason in its last column, beside the screen.
        st.markdown(job.why_stopped(one))
        if not one.is_worth_resuming:
            st.caption(job.COMES_AGAIN)
    if one is not None:
        key = f"runs_name_{one.run_id}"
        st.text_input(
            "Name or note",
            value=one.name,
            key=key,
            max_chars=MAX_NAME,
            width=380,
            placeholder="such as: before fine-tuning",
            on_change=_rename,
            args=(one.run_id, key),
        )
    if not picked:
        st.caption("Select one run to open it, two to merge them.")


def _merge(picked: list[RunRow]) -> None:
    with guarded("These runs cannot be merged"):
        merged = session.store().runs.merge([row.run_id for row in picked])
        session.open_run(merged)
        go("Curves")


@st.dialog("Delete for good?", icon=":material/delete:")
def _confirm(run_ids: list[str]) -> None:
    st.markdown(
        f"{formatting.plural(len(run_ids), 'run')} with all points: "
        f"{formatting.code_list(run_ids, most=6)}. "
        "This cannot be undone."
    )
    with st.container(horizontal=True):
        st.button(
            "Delete",
            icon=":material/delete:",
            key="runs_delete_yes",
            on_click=_delete,
            args=(run_ids,),
        )
        if st.button("Keep", type="primary", key="runs_delete_no"):
            st.rerun()


def _delete(run_ids: list[str]) -> None:
    for run_id in run_ids:
        try:
            session.store().runs.delete(run_id)
        except PruneScopeError as error:
            st.toast(formatting.message(str(error)), icon=":material/error:")
            continue
        if url_state.value("run") == run_id:
            url_state.put("run", None)
    # Closes the dialog and reads the list again.
    st.rerun()
