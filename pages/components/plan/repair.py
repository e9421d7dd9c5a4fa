"""How the plan's model is repaired: chosen on Plan and on Evaluate, part of the plan's history."""

from __future__ import annotations

import dataclasses

import streamlit as st

from analysis.evaluation import LoadedSubject
from analysis.records import Plan
from analysis.repairs import NO_REPAIR, REPAIRS, leaves_parts, plan_repairs
from pages.components.state import plan_state
from pages.components.widgets import formatting
from pruners.semantics import SEMANTICS

KEY = "plan_repair"


def choose(subject: LoadedSubject, plan: Plan, *, width: int) -> None:
    """Draw the choice; another one makes an undoable step."""
    # Undo and opened files move the field, which otherwise would keep its own value.
    st.session_state[KEY] = plan.repair
    options = _options(subject, plan)
    st.selectbox(
        "Repair without training",
        options,
        format_func=_titled,
        key=KEY,
        on_change=_chosen,
        width=width,
        help="Makes up for what was removed, on the calibration samples. What is measured after it "
        "is what Evaluate measures and Export writes.\n\n"
        + "\n\n".join(f"**{item.name}**: {item.help}." for item in map(REPAIRS.get, options)),
    )


def _titled(name: str) -> str:
    """Return what a choice is called: short, or the field cuts it off."""
    found = REPAIRS.get(name)
    return f"{name}: {found.help if name == NO_REPAIR else found.label}"


def reason(subject: LoadedSubject, plan: Plan) -> str:
    """Return why the plan is repaired as it is, one sentence."""
    if plan.trained:
        words = f"The model is {formatting.escaped(plan.recovery_words)}"
        return f"{words}; another repair takes its place, undo brings it back."
    usual = plan_state.usual_repair(subject.prepared, plan)
    if plan.repair != usual.name:
        words = "Not repaired" if plan.repair == NO_REPAIR else f"Repaired by {plan.repair}"
        return f"{words}; usual here is {usual.name}."
    if plan.repair == NO_REPAIR:
        return f"Not repaired: {usual.reason}."
    calibration = subject.prepared.subject.calibration
    count = 0 if calibration is None else len(calibration)
    return f"Usual here: {usual.reason}, on {formatting.plural(count, 'calibration sample')}."


def _options(subject: LoadedSubject, plan: Plan) -> list[str]:
    found = [NO_REPAIR]
    if subject.prepared.subject.calibration is not None:
        removes = SEMANTICS.get(plan.semantics).removes
        found += plan_repairs(
            removes=removes and leaves_parts(item.granularity for item in plan.entries)
        )
    # A plan from a file may ask for what the subject cannot do: it is shown, and refused in words.
    return found if plan.repair in found else [*found, plan.repair]


def _chosen() -> None:
    plan = plan_state.present()
    name = str(st.session_state[KEY])
    if plan is not None and name != plan.repair:
        plan_state.do(dataclasses.replace(plan, repair=name), action=f"repair: {name}")
