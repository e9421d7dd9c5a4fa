"""A sweep on its page: progress, curves as they grow, which points are measured, failures."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analysis import curves, figures
from analysis.curves import criteria_of
from analysis.records import RunRow
from analysis.snippets import run_sweep
from analysis.tasks import scoring_of
from pages.components.state import Session, session, tolerance
from pages.components.widgets import charts, code, formatting, go, job, no_labels, refreshed
from pruners.criteria import label_of

# Layers in colour.
FRAGILE = 6


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
    if run.samples or (live and run.points):
        _numbers(run, table)
    if table.empty:
        if live:
            st.caption(job.nothing_yet(run))
            st.skeleton(height=360)
        return
    chosen = _criterion(criteria_of(table))
    _curves(run, table, chosen)
    _coverage(run, table, chosen)
    _failures(run_id, table)


def _curves(run: RunRow, table: pd.DataFrame, criterion: str) -> None:
    """Draw the curves as they are by now, as the Curves page does."""
    accepted = tolerance.accepted(run.spec.subject.task)
    words = tolerance.words_of(run.spec.subject.task)
    found = session.tolerated(run, tolerance=accepted)
    rows = found[found["criterion"] == criterion].sort_values("tolerated", kind="stable")
    figure = charts.kept(
        lambda: figures.sensitivity_curves(
            table,
            criterion=criterion,
            highlight=[str(name) for name in rows["layer"][:FRAGILE]],
            task=run.spec.subject.task,
            tolerance=accepted,
            order=session.layer_places(run),
            zoom=charts.is_zoomed(),
            theme=charts.theme(),
            height=400,
        ),
        "sweep",
        *session.stamp(run),
        criterion,
        accepted,
        charts.is_zoomed(),
    )
    charts.show(figure, key="sweep_chart", file_name=f"curves-{run.run_id}")
    charts.reach_switch(
        f"{words.sign_of_loss} Colour: the {min(FRAGILE, len(rows))} groups that tolerate "
        "least so far; grey: all others. Bands are 95 % intervals"
        + (" and narrow with every batch." if run.is_live else ".")
    )


def _coverage(run: RunRow, table: pd.DataFrame, criterion: str) -> None:
    """Offer which points are how far."""
    with st.expander(
        "Which points are measured",
        icon=":material/grid_on:",
        key="sweep_points",
        on_change="rerun",
    ) as box:
        if box.open:
            charts.show(
                figures.coverage_grid(
                    table, criterion=criterion, samples=run.total_samples, theme=charts.theme()
                ),
                key="sweep_grid_chart",
                file_name=f"coverage-{run.run_id}",
            )


def _numbers(run: RunRow, table: pd.DataFrame) -> None:
    """Show the baseline, how long it takes, and how many points there are."""
    has_baseline = run.baseline is not None and bool(run.baseline.samples)
    with st.grid(2 + has_baseline, min_column_width=100):
        if run.baseline is not None and has_baseline:
            task = scoring_of(run.spec.subject.task)
            interval = task.score_interval(run.baseline)
            st.metric(
                f"Dense {task.words.label}" if run.has_labels else "Reference",
                formatting.score(task.score(run.baseline), task.words)
                if run.has_labels
                else "Own answers",
                help=f"On {formatting.plural(run.baseline.samples, 'sample')}; 95 % interval "
                f"{formatting.score_range(interval.low, interval.high, task.words)}.",
                border=True,
            )
        if run.is_live:
            left = run.eta_seconds
            st.metric("Time left", formatting.DASH if left is None else _about(left), border=True)
        else:
            took = formatting.duration(run.seconds) if run.seconds else formatting.DASH
            st.metric("Took", took, border=True)
        measured = int(curves.is_known(table).sum()) if not table.empty else 0
        st.metric(
            "Points so far" if run.is_live else "Points measured",
            f"{formatting.thousands(measured)} of {formatting.thousands(run.points)}",
            border=True,
        )


def _about(seconds: float) -> str:
    return f"about {formatting.duration(seconds)}"


def _criterion(names: list[str]) -> str:
    """Ask whose curves are shown."""
    label, key = "Curves by criterion", "sweep_coverage"
    if len(names) == 1:
        return names[0]
    if len(names) > charts.SEGMENTS:
        return st.selectbox(label, names, format_func=label_of, key=f"{key}_list", width=320)
    chosen = st.segmented_control(
        label, names, default=names[0], required=True, format_func=label_of, key=key
    )
    return chosen or names[0]


def _head(run: RunRow, live: bool) -> None:
    spec = run.spec
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**Run `{run.run_id}`** {job.badge(run)}  \n"
                f":small[{formatting.listed(map(label_of, spec.criteria), most=6)} "
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
        cells.assign(
            reason=[
                formatting.on_pages(reasons.get(cell, "")) for cell in cells.itertuples(index=False)
            ],
            criterion=cells["criterion"].map(label_of),
            ratio_requested=[
                formatting.percent(item, digits=1) for item in cells["ratio_requested"]
            ],
        ),
        hide_index=True,
        key="sweep_failed",
        column_config={
            "layer": "Layer",
            "criterion": "Criterion",
            "ratio_requested": "Ratio",
            "reason": "Reason",
        },
    )
