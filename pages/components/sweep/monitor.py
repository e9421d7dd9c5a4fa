"""A sweep on its page: progress, first look, coverage grid, failures."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analysis import figures
from analysis.curves import criteria_of
from analysis.records import RunRow
from analysis.snippets import run_sweep
from pages.components.state import Session, session, tolerance
from pages.components.widgets import charts, code, formatting, go, job, no_labels, refreshed
from pruners.criteria import CRITERIA


def draw(current: Session) -> None:
    """Draw the run, refreshed while it runs; the rest of the page stays as it is."""
    run = current.run
    assert run is not None
    refreshed(
        _monitor,
        run.run_id,
        current.is_live,
        every=1.0 if current.is_live else None,
        title="The run cannot be read",
    )


def offer_code(current: Session) -> None:
    """Offer the sweep that runs, to copy."""
    assert current.run is not None
    code.offer(run_sweep(current.run.spec, session.named_workspace()))


def _monitor(run_id: str, was_live: bool) -> None:
    run = session.store().runs.get(run_id)
    live = run.is_live
    if was_live and not live:
        st.toast(f"Sweep {run_id}: {job.STATES[run.state][2]}.")
        st.rerun()
    _head(run, live)
    if run.samples and not run.has_labels:
        no_labels(tolerance.words_of(run.spec.subject.task))
    table = session.points(run)
    if table.empty:
        st.caption(job.nothing_yet(run))
        return
    names = criteria_of(table)
    chosen = _criterion(names)
    charts.show(
        figures.coverage_grid(
            table,
            criterion=chosen,
            samples=run.total_samples,
            theme=charts.theme(),
        ),
        key="sweep_grid_chart",
        file_name=f"coverage-{run_id}",
    )
    _failures(run_id, table)


def _criterion(names: list[str]) -> str:
    """Ask whose coverage is shown."""
    label, key = "Coverage by criterion", "sweep_coverage"
    if len(names) > charts.SEGMENTS:
        return st.selectbox(label, names, format_func=_label, key=f"{key}_list", width=320)
    chosen = st.segmented_control(
        label, names, default=names[0], required=True, format_func=_label, key=key
    )
    return chosen or names[0]


def _label(name: str) -> str:
    return CRITERIA.get(name).label


def _head(run: RunRow, live: bool) -> None:
    spec = run.spec
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**Run `{run.run_id}`** {job.badge(run)}  \n"
                f":small[{formatting.listed(spec.criteria, most=6)} "
                f"\N{MIDDLE DOT} {spec.granularity} "
                f"\N{MIDDLE DOT} {formatting.plural(len(spec.ratios), 'ratio')} \N{MIDDLE DOT} "
                f"{formatting.plural(run.points, 'point')}]",
                width="stretch",
            )
            if live:
                st.button(
                    "Cancel",
                    key="sweep_cancel",
                    icon=":material/stop_circle:",
                    on_click=job.cancel,
                    args=(run.run_id,),
                    disabled=run.cancel_requested,
                )
            if run.samples and st.button(
                "See curves",
                key="sweep_curves",
                icon=":material/show_chart:",
                type="secondary" if live else "primary",
            ):
                go("Curves")
        st.progress(run.progress.fraction, text=job.line(run))
        if live:
            st.caption(
                "The sweep is a process of its own: it goes on when this page or the dashboard is "
                "closed, and is found again under Runs."
            )


def _failures(run_id: str, table: pd.DataFrame) -> None:
    """List the points that failed, each with its reason."""
    failed = table[table["status"] == "failed"]
    if failed.empty:
        return
    reasons = {
        (key.layer, key.criterion, key.ratio_requested): reason
        for key, reason in session.store().points.reasons(run_id).items()
    }
    st.warning(
        f"{formatting.plural(len(failed), 'point')} failed; the others are not affected.",
        icon=":material/warning:",
    )
    cells = failed[["layer", "criterion", "ratio_requested"]]
    st.dataframe(
        cells.assign(reason=[reasons.get(cell, "") for cell in cells.itertuples(index=False)]),
        hide_index=True,
        key="sweep_failed",
        column_config={
            "layer": "Layer",
            "criterion": "Criterion",
            "ratio_requested": st.column_config.NumberColumn("Ratio", format="percent"),
            "reason": "Reason",
        },
    )
