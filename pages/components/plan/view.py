"""The Plan page: sizes and accuracy above, ways to fill, the table, one layer in focus."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis import figures, plans
from analysis.curves import columns, plan_sizes, tolerated
from analysis.evaluation import LoadedSubject
from analysis.plans import Curves, Prediction, plan_table, pruned_entries
from analysis.prediction import Forecaster
from analysis.records import Plan, SweepSpec
from analysis.repairs import NO_REPAIR
from analysis.snippets import Snippet, run_sweep, take_plan
from pages.components.plan import fill, gate, goal, live, repair, table_editor
from pages.components.state import Session, plan_state, session, subjects, tolerance, url_state
from pages.components.widgets import (
    charts,
    code,
    formatting,
    group_caption,
    guarded,
    network,
    no_labels,
    ribbon,
    size_card,
)
from pruners.errors import PruneScopeError
from pruners.granularity import parse

# What each slider of the focus panel was moved to.
SLID = "plan_slid"
NO_POINTS = pd.DataFrame(columns=list(columns()))


def draw(current: Session) -> None:
    """Draw the page; the live measurement comes last, so that nothing waits for it."""
    place = st.empty()
    if subjects().peek(current.chosen) is None:
        with place.container():
            _preview(current)
    with st.spinner("Loading the subject", show_time=True):
        subject = session.loaded(current.chosen)
    place.empty()
    if table_editor.take():
        st.rerun()
    plan = plan_state.opened(current, subject.prepared)
    if subject.prepared.subject.evaluation is not None and not subject.prepared.subject.has_labels:
        no_labels(subject.prepared.subject.task.words)
    curves = _run_curves(current)
    gate.say_unsaved()
    code.offer(_snippet(current))
    if current.has_changed:
        ribbon(
            "The weights, data or code of this subject have changed since the open run: its curves "
            "say nothing of them and are left out. Run a sweep again."
        )
    if not plan_state.is_for(plan, current):
        _other_run(current, subject, plan)
    predicted = curves.predict(plan)
    _goal(current, plan)
    slot, note = _cards(subject, plan, predicted, curves.repair)
    fill.draw(current, subject, plan, curves.points, curves.foresee)
    table = plan_table(plan, curves.envelopes, curves.limits, tolerance=_tolerance(current))
    table_editor.draw(plan, table, curves.points, current, subject.prepared.inventory)
    _details(current, subject, plan, curves.points, table)
    _map(subject, plan, table)
    if subject.prepared.subject.evaluation is not None:
        with guarded("The plan cannot be measured"):
            live.stream(subject, plan, slot, note, _raw(predicted))
            unkept = live.remember(current.store, subject, plan)
            gate.say_unkept("What was measured is", unkept)


def _snippet(current: Session) -> Snippet:
    """Return how to take the plan out of the workspace; before its first edit, how to measure."""
    place = session.named_workspace()
    if (plan_id := url_state.value("plan")) is not None:
        return take_plan(plan_id, place)
    run = current.run
    return run_sweep(SweepSpec(subject=current.chosen) if run is None else run.spec, place)


def _goal(current: Session, plan: Plan) -> None:
    """Draw the way from a goal to a plan: open while there is nothing to lose."""
    job = goal.current_job(plan.subject)
    is_new = not pruned_entries(plan)
    with st.expander("Start from a goal", icon=":material/bolt:", expanded=is_new):
        goal.ask(
            plan.subject,
            label="Plans are searched, each measured after its repair. Locked layers stay.",
            plan=plan,
        )
    # What has become the session's plan is on the page already.
    if job is not None and (job.is_live or url_state.value("plan") not in job.plan_ids):
        goal.follow(current, job)


def _preview(current: Session) -> None:
    """Show the plan from what the workspace has, while the subject is being loaded."""
    curves = _run_curves(current)
    if curves.points.empty:
        return
    plan, what = plan_state.saved(), "The plan as it was saved"
    if plan is None:
        plan, what = plan_state.of_run(current, curves.points), "A new plan of what was measured"
    if plan is None or plan.subject != current.chosen:
        return
    st.caption(
        f":material/hourglass: {what}. It can be edited, and is measured, once the subject is "
        "loaded."
    )
    table = plan_table(plan, curves.envelopes, curves.limits, tolerance=_tolerance(current))
    table_editor.preview(table, curves.points, current)


def _other_run(current: Session, subject: LoadedSubject, plan: Plan) -> None:
    """Say that the plan was begun on another run, and offer to begin on this one."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        where = f"run `{plan.run}`" if plan.run else "no run"
        st.markdown(
            f":material/history: This plan was begun on {where}; the open run predicts it where "
            "it measured the same.",
            width="stretch",
        )
        st.button(
            "Start over from the open run",
            icon=":material/restart_alt:",
            key="plan_start_over",
            on_click=lambda: plan_state.start_over(
                plan_state.empty_plan(current, subject.prepared)
            ),
            help="Undo brings this plan back.",
        )


def _tolerance(current: Session) -> float:
    return tolerance.accepted(current.chosen.task)


@dataclass(frozen=True, slots=True, eq=False)
class RunCurves:
    """What a plan may be predicted from.

    Attributes:
        points: The points table of the open run; empty without one of this subject.
        envelopes: Its envelopes.
        limits: What its layers tolerate.
        forecaster: Predicts plans from it; None without one.
        repair: How the points are repaired; None without a run.
    """

    points: pd.DataFrame
    envelopes: Curves
    limits: pd.DataFrame
    forecaster: Forecaster | None = None
    repair: str | None = None

    def predict(self, plan: Plan) -> Prediction | None:
        """Predict a plan's drop; None where the points tell nothing of it."""
        if self.forecaster is None or self.points.empty:
            return None
        return self.forecaster.predict(plan)

    def foresee(self, plan: Plan) -> Prediction | None:
        """Predict for choices among plans, also by what this plan was measured to lose."""
        if self.forecaster is None or self.points.empty:
            return None
        return self.forecaster.foresee(plan)


def _run_curves(current: Session) -> RunCurves:
    run = current.run
    if run is None or current.is_stale:
        return RunCurves(NO_POINTS, {}, tolerated(NO_POINTS, tolerance=_tolerance(current)))
    limits = session.tolerated(run, tolerance=_tolerance(current))
    return RunCurves(
        session.points(run),
        session.envelopes(run),
        limits,
        session.forecaster(run) if run.predicts else None,
    )


def _cards(
    subject: LoadedSubject, plan: Plan, predicted: Prediction | None, of_points: str | None
) -> tuple[DeltaGenerator, DeltaGenerator]:
    """Draw sizes and accuracies; return where the live measurement goes."""
    (dense_params, dense_macs), (params, macs) = subject.dense_size, subject.size(plan)
    with st.grid(4, min_column_width=200):
        size_card("Parameters", dense_params, params)
        size_card("MACs per sample", dense_macs, macs)
        _predicted(subject, plan, predicted, of_points)
        slot = st.empty()
    studied = subject.prepared.subject
    with st.container(horizontal=True, vertical_alignment="bottom"):
        repair.choose(subject, plan, width=380)
        with st.container(gap=None):
            note = st.empty()
            st.caption(repair.reason(subject, plan))
    if studied.evaluation is None:
        slot.metric(live.label(studied, plan), formatting.DASH, border=True, height="stretch")
        note.caption("Nothing is measured: the subject has no evaluation data.")
    else:
        live.show(live.known(subject, plan), slot, note, studied, plan, _raw(predicted))
    return slot, note


def _raw(found: Prediction | None) -> Prediction | None:
    """Return a prediction of the plan before repair, which is what is measured live."""
    return found if found is not None and found.repair == NO_REPAIR else None


def _predicted(
    subject: LoadedSubject, plan: Plan, found: Prediction | None, of_points: str | None
) -> None:
    task = subject.prepared.subject.task
    label = f"Predicted {task.words.label}"
    if found is None:
        st.metric(
            label,
            formatting.DASH,
            help=_unpredicted(plan, of_points),
            border=True,
            height="stretch",
        )
        return
    dense = subject.baseline()
    found = found.within(dense.accuracy, task.name)
    words, interval = task.words, task.score_interval(dense.sums)
    after = ""
    if found.repair != plan.recovered_by and pruned_entries(plan):
        label += " before training" if plan.trained else " before repair"
        after = (
            f"There is no prediction after {plan.recovered_by}: that takes curves whose points "
            "are repaired so. "
        )
    st.metric(
        label,
        formatting.score(words.after(dense.accuracy, found.drop), words),
        **formatting.drop_card(found.drop, found.low, found.high, words),
        help=f"{found.explanation} {after}Dense: {formatting.score(dense.accuracy, words)} "
        f"({formatting.score_range(interval.low, interval.high, words)}). {_gaps(found)}",
        border=True,
        height="stretch",
    )


def _unpredicted(plan: Plan, repair: str | None) -> str:
    """Say why a plan has no prediction."""
    if repair is None:
        return "Predictions come from a sweep's curves; there is no run for this subject."
    return (
        f"The points of the open run are repaired by {repair}, or a pruned channel is something "
        f"else to it: they tell nothing of a plan that is "
        f"{formatting.escaped(plan.recovery_words)}."
    )


def _gaps(found: Prediction) -> str:
    parts = []
    if found.unmeasured:
        parts.append(f"Not measured and left out: {formatting.listed(found.unmeasured)}.")
    if found.extrapolated:
        parts.append(f"Beyond the measured grid: {formatting.listed(found.extrapolated)}.")
    return " ".join(parts)


def _details(
    current: Session,
    subject: LoadedSubject,
    plan: Plan,
    points: pd.DataFrame,
    table: pd.DataFrame,
) -> None:
    layers = table["layer"].tolist()
    if not layers:
        return
    left, right = st.columns([2, 3], gap="medium")
    with left, st.container(border=True):
        url_state.choice("layer", "Layer in focus", layers)
        name = _focus(table)
        row = table[table["layer"] == name].iloc[0]
        _focus_slider(plan, str(row["key"]), float(row["ratio"]))
        st.caption(_focus_line(row))
        sizes = plan_sizes(plan, subject.prepared.inventory)
        key = str(row["key"])
        group_caption(sizes.get(key), plans.find(plan, key).granularity)
        _units(subject, plan, key)
    with right:
        if points.empty or name not in set(points["layer"]):
            charts.show(
                figures.plan_bars(table, theme=charts.theme()), key="plan_bars", file_name="plan"
            )
        else:
            charts.show(
                figures.focus_curves(
                    points,
                    layer=name,
                    task=current.chosen.task,
                    tolerance=_tolerance(current),
                    theme=charts.theme(),
                    height=280,
                ),
                key="plan_focus",
                file_name=f"{name}",
            )


def _focus(table: pd.DataFrame) -> str:
    """Return the layer in focus; the first one if none was picked."""
    layers = table["layer"].tolist()
    return str(url_state.value("layer") if url_state.value("layer") in layers else layers[0])


def _units(subject: LoadedSubject, plan: Plan, key: str) -> None:
    """Draw which channels or heads of the group in focus go, with their scores."""
    granularity = plans.find(plan, key).granularity
    if not parse(granularity).is_structured:
        return
    try:
        table = plans.unit_table(subject.prepared, plan, key)
    except PruneScopeError as error:
        st.caption(f"No scores: {formatting.message(str(error))}")
        return
    charts.show(
        figures.unit_scores(table, units=f"{granularity}s", theme=charts.theme()),
        key="plan_units",
        file_name=f"{key} scores",
    )


def _map(subject: LoadedSubject, plan: Plan, table: pd.DataFrame) -> None:
    """Draw the network with what the plan removes of each group."""
    if table.empty:
        return
    sizes = plan_sizes(plan, subject.prepared.inventory)
    by_key = dict(zip(table["key"], table["layer"], strict=True))
    with st.expander("Network map", icon=":material/account_tree:", key="plan_map_box"):
        network.draw(
            subject.prepared.inventory,
            {by_key[key]: size for key, size in sizes.items()},
            dict(zip(table["layer"], table["achieved"], strict=True)),
            focus=_focus(table),
            label="removed",
            key="plan_map",
        )


def _focus_slider(plan: Plan, key: str, ratio: float) -> None:
    # The revision lets fills and undo move the slider, which otherwise keeps its own value.
    widget, drawn = f"plan_slider_{key}_{plan_state.revision()}", round(ratio * 100, 2)
    st.slider(
        "Ratio removed (%)",
        0.0,
        100.0,
        value=drawn,
        step=0.5,
        format="%.2f",
        key=widget,
        on_change=_slide,
        args=(key, widget, drawn),
    )


def _slide(key: str, widget: str, drawn: float) -> None:
    # A browser that has not heard yet that sliders are gone sends them all again, as they were; to
    # Streamlit, which has forgotten them, each has changed. Only what a hand has moved is an edit.
    percent, seen = float(st.session_state[widget]), st.session_state.setdefault(SLID, {})
    plan = plan_state.present()
    if plan is None or percent == seen.get(widget, drawn):
        return
    seen[widget], ratio = percent, percent / 100
    plan_state.do(plans.set_ratio(plan, key, ratio), action=f"{key} to {formatting.percent(ratio)}")


def _focus_line(row: pd.Series) -> str:
    parts = [
        f"Achieved {formatting.percent(row['achieved'])}: "
        f"{formatting.thousands(int(row['kept']))} of "
        f"{formatting.thousands(int(row['total']))} stay."
    ]
    if pd.notna(row["tolerated"]):
        parts.append(f"Tolerated {formatting.percent(row['tolerated'])}.")
    if row["note"]:
        parts.append(f":orange[:material/warning:] {row['note']}.")
    return " ".join(parts)
