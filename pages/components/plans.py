"""The Plans page: list, open, name, delete with a question, two side by side."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis import figures, plans
from analysis.comparison import PlanComparison, PlanSide, compare_plans
from analysis.evaluation import Known
from analysis.records import Progress, SavedPlan
from analysis.sentences import capital
from analysis.snippets import list_plans
from analysis.store import MAX_NAME, MAX_NOTE
from analysis.tasks import Words, scoring_of
from pages.components.state import Session, plan_state, session, tolerance, url_state
from pages.components.widgets import charts, code, formatting, go, guarded, size_card
from pruners.errors import PruneScopeError

COMPARED = "plans_compared"


def draw(current: Session) -> None:
    """Draw the page."""
    code.offer(list_plans(session.named_workspace()))
    saved = current.store.plans.saved()
    known = Known(current.store)
    st.dataframe(
        pd.DataFrame([_row(item, known) for item in saved]),
        hide_index=True,
        key="plans_table",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "plan": st.column_config.TextColumn("Plan", pinned=True),
            # Not pinned: a long one would take all of a phone's width.
            "name": "Name",
            "strategy": "Strategy",
            "repair": "Repair",
            "macs": st.column_config.TextColumn("MACs left"),
            "params": st.column_config.TextColumn("Parameters left"),
            "measured": st.column_config.TextColumn(
                "Measured",
                width=190,
                help="By the newest evaluation of this plan, else as Plan or Trade-off measured "
                "it, with its 95 % interval; empty once files of its subject have changed.",
            ),
            "drop": st.column_config.TextColumn(
                "Drop", width=180, help="Against dense on the same samples."
            ),
            "changed": st.column_config.DatetimeColumn("Changed", format="YYYY-MM-DD HH:mm"),
            "model": "Model",
            "data": "Data",
            "pruned": st.column_config.NumberColumn("Layers", help="That lose something."),
            "note": "Note",
        },
        alt="Plans of this workspace, the one changed last first",
    )
    rows = st.session_state["plans_table"]["selection"]["rows"]
    picked = saved[rows[0]] if rows and rows[0] < len(saved) else None
    if picked is None:
        # The grid is a canvas: the same choice for keyboards and screen readers.
        picked = _choice("Select a plan", saved, None, key="plans_pick")
    _actions(picked)
    _two(current, saved)


def _row(item: SavedPlan, known: Known) -> dict[str, object]:
    plan, found = item.plan, known.of(item.plan)
    words = tolerance.words_of(plan.subject.task)
    macs, params = item.macs_left, item.params_left
    measured = drop = formatting.DASH
    if found is not None:
        measured = (
            f"{formatting.score(found.accuracy, words)} "
            f"({formatting.score_range(found.low, found.high, words)})"
        )
        drop = (
            f"{formatting.drop(found.drop, words)} "
            f"({formatting.drop_range(found.drop_low, found.drop_high, words)})"
        )
        if found.evaluation is not None:
            counted = found.evaluation.evaluation
            macs, params = counted.macs_left, counted.params_left
    return {
        "plan": item.plan_id,
        "name": item.name,
        "macs": formatting.percent(macs, digits=1),
        "drop": drop,
        "measured": measured,
        "repair": plan.recovered_by,
        "params": formatting.percent(params, digits=1),
        "strategy": plan.strategy,
        "changed": datetime.fromtimestamp(item.changed),
        "model": formatting.title_with_details(plan.subject.model),
        "data": formatting.title_with_details(plan.subject.data or "no data"),
        "pruned": len(plans.pruned_entries(plan)),
        "note": item.note,
    }


def _title(item: SavedPlan) -> str:
    return f"{item.name} ({item.plan_id})" if item.name else item.plan_id


def _actions(one: SavedPlan | None) -> None:
    with st.container(horizontal=True):
        if st.button(
            "Open",
            icon=":material/folder_open:",
            type="primary",
            disabled=one is None,
            key="plans_open",
        ):
            assert one is not None
            plan_state.open_plan(one.plan_id)
            go("Plan")
        if st.button("Delete", icon=":material/delete:", disabled=one is None, key="plans_delete"):
            assert one is not None
            _confirm(one)
    if one is None:
        st.caption("Select a plan to open, name or delete it.")
        return
    with st.container(horizontal=True):
        for field, label, value, limit, width in (
            ("name", "Name", one.name, MAX_NAME, 300),
            ("note", "Note", one.note, MAX_NOTE, 480),
        ):
            key = f"plans_{field}_{one.plan_id}"
            st.text_input(
                label,
                value=value,
                key=key,
                max_chars=limit,
                width=width,
                on_change=_describe,
                args=(one.plan_id, field, key),
            )


def _describe(plan_id: str, field: str, key: str) -> None:
    kept, text = session.store().plans, st.session_state[key]
    try:
        (kept.rename if field == "name" else kept.annotate)(plan_id, text)
    except PruneScopeError as error:
        st.toast(formatting.message(capital(str(error))), icon=":material/error:")


@st.dialog("Delete for good?", icon=":material/delete:")
def _confirm(one: SavedPlan) -> None:
    st.markdown(
        f"Plan {formatting.escaped(_title(one))}. This cannot be undone; what was measured of it "
        "stays known."
    )
    with st.container(horizontal=True):
        st.button(
            "Delete",
            icon=":material/delete:",
            key="plans_delete_yes",
            on_click=_delete,
            args=(one.plan_id,),
        )
        if st.button("Keep", type="primary", key="plans_delete_no"):
            st.rerun()


def _delete(plan_id: str) -> None:
    try:
        plan_state.forget(plan_id)
    except PruneScopeError as error:
        st.toast(formatting.message(capital(str(error))), icon=":material/error:")
    # Closes the dialog and reads the list again.
    st.rerun()


def _two(current: Session, saved: tuple[SavedPlan, ...]) -> None:
    """Choose two plans of one model, measure and show them side by side."""
    if len(saved) < 2:
        return
    st.subheader("Two plans side by side", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        one = _choice("A", saved, _first(saved), key="plans_A")
        assert one is not None
        fitting = tuple(
            item
            for item in saved
            if item.plan_id != one.plan_id and item.plan.fingerprint == one.plan.fingerprint
        )
        other = _choice("B", fitting, 0, key="plans_B") if fitting else None
        sent = st.button(
            "Compare", icon=":material/compare_arrows:", disabled=other is None, key="plans_compare"
        )
    if other is None:
        st.caption(f"No other plan is of the same weights as {formatting.escaped(_title(one))}.")
        return
    known: dict[object, PlanComparison] = st.session_state.setdefault(COMPARED, {})
    # By content: an edited plan is another one.
    key = (one.plan.to_json(), other.plan.to_json())
    if sent:
        with guarded("These plans cannot be compared"):
            known[key] = _measured(one, other)
    if key in known:
        _side_by_side(_title(one), _title(other), known[key], one.plan.subject.task)


def _choice(
    label: str, among: tuple[SavedPlan, ...], index: int | None, *, key: str
) -> SavedPlan | None:
    # By id: a new name must not make another choice.
    known = {item.plan_id: item for item in among}
    chosen = st.selectbox(
        label,
        list(known),
        index=index,
        format_func=lambda name: _title(known[name]),
        key=key,
        placeholder="in the table or here",
        width=380,
    )
    return None if chosen is None else known[chosen]


def _first(saved: tuple[SavedPlan, ...]) -> int:
    """Return the place of the plan that is open, if it is among them."""
    names = [item.plan_id for item in saved]
    chosen = url_state.value("plan")
    return names.index(chosen) if chosen in names else 0


def _measured(one: SavedPlan, other: SavedPlan) -> PlanComparison:
    with st.spinner("Loading the subject", show_time=True):
        subject = session.loaded(one.plan.subject)
    bar = st.progress(0.0, text="Measuring both on the same samples")
    found = compare_plans(
        subject.prepared, one.plan, other.plan, progress=lambda now: _advance(bar, now)
    )
    bar.empty()
    return found


def _advance(bar: DeltaGenerator, now: Progress) -> None:
    bar.progress(now.fraction, text=f"Measuring both: {formatting.progress(now)}")


def _side_by_side(one: str, other: str, found: PlanComparison, task: str) -> None:
    words, scoring = tolerance.words_of(task), scoring_of(task)
    for letter, name, side in (("A", one, found.one), ("B", other, found.other)):
        with st.grid(3, min_column_width=200):
            _score_card(f"{letter}: {name}", side, words)
            size_card("Parameters", found.dense_params, side.params)
            size_card("MACs per sample", found.dense_macs, side.macs)
    same = scoring.told_agreement(found.agreement, found.samples)
    st.markdown(
        (f"Both give the same answer to **{same}**. " if same else "")
        + f"{capital(words.drop_label)} of B against A: "
        f"**{formatting.drop(found.drop, words)}** "
        f"({formatting.drop_range(found.drop_low, found.drop_high, words)}); below zero B is "
        "better. " + _verdict(found)
    )
    left, right = charts.beside(1, 1)
    with left:
        table = pd.DataFrame(
            {
                "layer": [item.layer for item in found.layers],
                "A": [100 * item.one for item in found.layers],
                "B": [100 * item.other for item in found.layers],
                "units": [item.total for item in found.layers],
            }
        )
        st.dataframe(
            table,
            hide_index=True,
            key="plans_layers",
            column_config={
                "layer": "Layer",
                **{
                    name: st.column_config.ProgressColumn(
                        f"{name} removes", format="%.1f %%", min_value=0, max_value=100, width=115
                    )
                    for name in "AB"
                },
                "units": st.column_config.NumberColumn("Units", format="localized", width=60),
            },
            alt="What both plans remove of each layer",
        )
    if found.classes:
        with right:
            classes = pd.DataFrame([item.to_dict() for item in found.classes])
            charts.show(
                figures.class_change(
                    classes,
                    theme=charts.theme(),
                    names=("A", "B"),
                    score=scoring.of_class,
                    counted=scoring.answered,
                ),
                key="plans_classes",
                file_name="two-plans-by-class",
            )
            st.caption("Filled: A and B clearly differ in this class. Hollow: it may be chance.")


def _score_card(label: str, side: PlanSide, words: Words) -> None:
    st.metric(
        formatting.escaped(label),
        formatting.score(side.accuracy, words),
        **formatting.drop_card(side.drop, side.drop_low, side.drop_high, words),
        help=f"{capital(words.label)} {formatting.escaped(side.recovery_words)}; 95 % interval "
        f"{formatting.score_range(side.low, side.high, words)}. The {words.drop_noun} is against "
        "dense.",
        border=True,
        height="stretch",
    )


def _verdict(found: PlanComparison) -> str:
    if found.drop_low > 0:
        return "A is clearly better."
    if found.drop_high < 0:
        return "B is clearly better."
    return "The interval holds 0: neither is clearly better."
