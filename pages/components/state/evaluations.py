"""Evaluations that pages show: those of the workspace, by the content of subject and plan."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from analysis.evaluation import LoadedSubject, keep_evaluation, kept_evaluation
from analysis.records import Evaluation, Plan
from pages.components.state.session import store
from pages.components.state.subject_cache import subjects

LAST = "evaluation_last"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation to show beside a plan.

    Attributes:
        plan: What was evaluated.
        evaluation: Its numbers.
        is_current: Whether they are of the plan as it is, on its subject as the files are now.
    """

    plan: Plan
    evaluation: Evaluation
    is_current: bool


def of(plan: Plan) -> Evaluated | None:
    """Return what the workspace knows of a plan; else what this session saw last of its subject."""
    subject = subjects().peek(plan.subject)
    found = None if subject is None else kept_evaluation(store(), subject.prepared, plan)
    if found is not None:
        _remember(plan, found.evaluation)
        return Evaluated(plan, found.evaluation, is_current=True)
    last: tuple[Plan, Evaluation] | None = st.session_state.get(LAST)
    if last is None or last[0].subject != plan.subject:
        return None
    return Evaluated(*last, is_current=False)


def keep(subject: LoadedSubject, plan: Plan, found: Evaluation) -> None:
    """Keep an evaluation in the workspace, with what it told of the outputs."""
    kept = keep_evaluation(store(), subject.prepared, plan, found)
    _remember(plan, kept)


def _remember(plan: Plan, found: Evaluation) -> None:
    """Remember what this session saw last, to be shown as old when the plan changes."""
    st.session_state[LAST] = (plan, found)
