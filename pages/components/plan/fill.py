"""Ways to fill a plan at once: a strategy, a bulk edit, a start from scratch, a saved plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from analysis import allocation, interop, plans
from analysis.allocation import GOALS, STRATEGIES, Predict
from analysis.evaluation import LoadedSubject
from analysis.plans import USUAL, require_fit, rounded
from analysis.records import Plan, Recipe
from analysis.sentences import capital, plural
from analysis.shrinking import Order
from pages.components.plan import goal, options
from pages.components.state import Session, plan_state, tolerance, url_state
from pages.components.widgets import formatting, problem
from pruners.errors import PruneScopeError

MESSAGE = "plan_message"
TOLERANCE = "tolerance"


def draw(
    current: Session, subject: LoadedSubject, plan: Plan, points: pd.DataFrame, predict: Predict
) -> None:
    """Draw the bar of actions above the table; budgets in drop are of what is predicted."""
    task = current.chosen.task
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.selectbox(
                "Fill by",
                strategies(points),
                format_func=lambda item: STRATEGIES.get(item).label,
                key="plan_strategy",
                width=130,
                help="\n\n".join(f"**{item.label}**: {item.help}" for item in STRATEGIES),
                persist_state="session",
            )
            target, amount = _target(name, task)
            multiple = _multiple(plan)
            best = st.toggle(
                "Best criteria",
                key="plan_best",
                disabled=points.empty,
                help="Choose, per layer, the measured criterion that loses least.",
                persist_state="session",
                width="content",
            )
            extra = options.ask(name, target, task)
            if st.button("Fill", icon=":material/auto_fix_high:", key="plan_fill", type="primary"):
                recipe = _recipe(target, amount, extra, best=best, multiple=multiple)
                if STRATEGIES.get(name).measures:
                    # It takes a minute: a job, as from a goal.
                    goal.start(Order(subject=plan.subject, recipe=recipe, plan=plan))
                else:
                    _fill(subject, plan, name, recipe, points, predict)
            _more(subject, plan, multiple)
        if extra:
            st.caption(f":material/tune: Also asked of the fill: {options.said(extra, task)}.")
        _message()
    if points.empty:
        _without_points(current, subject)
    if target != TOLERANCE:
        tolerance.ask(task, width=150, help="per layer that the table marks as tolerated.")


def _without_points(current: Session, subject: LoadedSubject) -> None:
    """Say that nothing is predicted, and offer the newest run that would tell."""
    is_open = current.run is not None
    rows = () if is_open and not current.is_stale else current.store.runs.all()
    found = [
        row.run_id
        for row in rows
        if row.samples and row.fingerprint and row.predicts and subject.is_of(row)
    ]
    if not found:
        st.caption(
            ":material/info: No measured run for this subject: a uniform plan works, "
            "marked as not predicted. It is measured all the same."
        )
        return
    why = "The open run is of another subject" if is_open else "No run is open"
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            f":material/info: {why}, so that nothing is predicted. The workspace has "
            f"{plural(len(found), 'run')} of this subject: {formatting.code_list(found)}.",
            width="stretch",
        )
        st.button(
            f"Open {found[0]}",
            icon=":material/folder_open:",
            key="plan_open_run",
            on_click=url_state.put,
            args=("run", found[0]),
            help="The newest. The plan stays as it is.",
        )


def strategies(points: pd.DataFrame) -> list[str]:
    """Return the strategies that are possible with the points at hand."""
    return [entry.name for entry in STRATEGIES if not points.empty or "points" not in entry.needs]


def _target(strategy: str, task: str) -> tuple[str, float]:
    """Ask what is to be reached; a tolerance is the one that the whole page goes by."""
    found = options.targets(strategy)
    target = st.selectbox(
        "To reach",
        found,
        format_func=lambda name: options.label_of(name, task),
        key=f"plan_target_{strategy}",
        width=148,
        persist_state="session",
    )
    if target == TOLERANCE:
        tolerance.ask(
            task,
            width=132,
            help="per layer alone: what Fill removes up to, and the table marks as tolerated.",
        )
        return target, tolerance.accepted(task)
    scale, unit = options.scale_of(target, task)
    is_drop = GOALS.get(target).is_drop
    amount = st.number_input(
        f"{options.label_of(target, task)} ({unit})",
        min_value=0.0,
        max_value=None if is_drop else 100.0,
        value=scale * GOALS.get(target).usual * (options.usual_drops(task) if is_drop else 1.0),
        step=0.25 if is_drop else 5.0,
        key=f"plan_amount_{target}",
        # As wide as a tolerance: with either the bar is one row on a laptop.
        width=132,
        persist_state="session",
    )
    return target, float(amount) / scale


def _multiple(plan: Plan) -> int:
    """Ask what kept channels are rounded to; 1 where the plan removes something else."""
    possible = any(entry.granularity == "channel" for entry in plan.entries)
    chosen = st.selectbox(
        "Round to",
        USUAL,
        format_func=lambda multiple: "no" if multiple == 1 else str(multiple),
        key="plan_multiple",
        disabled=not possible,
        width=84,
        help="Fills round the channels that stay up to a multiple of this, which many processors "
        "run faster; budgets hold after it. To round the plan as it is: More.",
        persist_state="session",
    )
    return int(chosen) if possible else 1


def _recipe(
    target: str, amount: float, extra: Mapping[str, Any], *, best: bool, multiple: int
) -> Recipe:
    asked = dict(extra)
    also = asked.pop("budgets", ())
    return Recipe(
        ratio=amount if target == "ratio" else None,
        tolerance=amount if target == TOLERANCE else None,
        budgets=(f"{target}={amount}", *also) if GOALS.get(target).words else (),
        criteria=allocation.BEST if best else allocation.FIXED,
        round_to=multiple,
        **asked,
    )


def _fill(
    subject: LoadedSubject,
    plan: Plan,
    name: str,
    recipe: Recipe,
    points: pd.DataFrame,
    predict: Predict,
) -> None:
    measured = None if points.empty else points
    try:
        found = allocation.fill_plan(
            subject.prepared,
            plan,
            name,
            recipe,
            points=measured,
            sizes=subject.meter,
            predict=predict,
            runtime=interop.RUNTIMES.get(recipe.runtime),
        )
    except PruneScopeError as error:
        problem(error, title="The plan cannot be filled that way")
        return
    plan_state.do(found.plan, action=f"fill: {STRATEGIES.get(name).label.lower()}")
    st.session_state[MESSAGE] = (found.feasible, found.message, found.unmeasured)
    st.rerun()


def _message() -> None:
    """Say how the last fill came out, once."""
    said = st.session_state.pop(MESSAGE, None)
    if said is None:
        return
    feasible, message, unmeasured = said
    if message and not feasible:
        st.warning(capital(message), icon=":material/warning:")
    elif message:
        st.caption(f":material/check: {message}")
    if unmeasured:
        st.caption(f"No curve, left as they were: {formatting.code_list(list(unmeasured))}")


def _more(subject: LoadedSubject, plan: Plan, multiple: int) -> None:
    with st.popover("More", icon=":material/more_horiz:"):
        factor = st.number_input(
            "Scale all ratios by",
            min_value=0.0,
            max_value=5.0,
            value=0.9,
            step=0.1,
            key="plan_factor",
            help="1 changes nothing, 0.5 removes half as much of each layer; locked ones stay.",
        )
        st.button(
            "Scale",
            icon=":material/percent:",
            width="stretch",
            on_click=lambda: plan_state.do(
                plans.scale(plan, float(factor)), action=f"scale by {factor:g}"
            ),
            key="plan_scale",
        )
        st.button(
            "Round kept channels" if multiple == 1 else f"Round kept channels to {multiple}s",
            icon=":material/straighten:",
            width="stretch",
            disabled=multiple == 1,
            on_click=lambda: plan_state.do(
                rounded(plan, subject.prepared.structure, multiple=multiple),
                action=f"round to {multiple}s",
            ),
            help="Up to a multiple of what Round to says. Requested ratios and locked layers stay.",
            key="plan_round",
        )
        st.button(
            "Clear all ratios",
            icon=":material/backspace:",
            width="stretch",
            on_click=lambda: plan_state.do(plans.clear(plan), action="clear"),
            help="Locked layers stay; undo brings the rest back.",
            key="plan_clear",
        )
        st.download_button(
            "Download plan (JSON)",
            plans.to_json(plans.compact(plan)),
            file_name="plan.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
            width="stretch",
            key="plan_json",
        )
        sent = st.file_uploader(
            "Open a plan file", type="json", max_upload_size=50, key="plan_file"
        )
        if sent is not None and st.button("Use this plan", key="plan_use", width="stretch"):
            _open(subject, plan, sent.getvalue(), sent.name)


def _open(subject: LoadedSubject, plan: Plan, content: bytes, name: str) -> None:
    try:
        opened = plans.from_json(content.decode("utf-8", "replace"), source=name)
        require_fit(subject.prepared, opened)
    except PruneScopeError as error:
        problem(error, title="This plan cannot be used")
        return
    plan_state.do(plans.expand(opened, plan), action=f"open {name}")
    st.rerun()
