"""Evaluations that pages show: those of the workspace, by the content of subject and plan."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from analysis.evaluation import Known, LoadedSubject, keep_evaluation, kept_evaluation
from analysis.records import Evaluation, Identity, Plan
from pages.components.state.session import store
from pages.components.state.subject_cache import subjects
from pruners.errors import StoreError

LAST = "evaluation_last"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation to show beside a plan.

    Attributes:
        plan: What was evaluated.
        evaluation: Its numbers.
        is_current: Whether they are of the plan as it is, on its subject as the files are now.
        unkept: Why it is in this session alone; empty if the workspace has it.
    """

    plan: Plan
    evaluation: Evaluation
    is_current: bool
    unkept: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What this session saw last: shown as old when the plan changes.

    Attributes:
        plan: What was evaluated.
        evaluation: Its numbers.
        identity: Of the subject then.
        unkept: Why the workspace does not have it; empty if it has.
    """

    plan: Plan
    evaluation: Evaluation
    identity: Identity
    unkept: str = ""

    def is_of(self, plan: Plan, identity: Identity) -> bool:
        """Say whether this is of a plan, on a subject as it is now."""
        return (self.plan, self.identity) == (plan, identity)


def of(plan: Plan) -> Evaluated | None:
    """Return what the workspace knows of a plan; else what this session saw last of its subject."""
    subject = subjects().peek(plan.subject)
    last: _Seen | None = st.session_state.get(LAST)
    if subject is not None:
        if last is not None and last.unkept and last.is_of(plan, subject.identity):
            # It is newer than what was kept before.
            return Evaluated(plan, last.evaluation, is_current=True, unkept=last.unkept)
        found = kept_evaluation(store(), subject.prepared, plan)
        if found is not None:
            st.session_state[LAST] = _Seen(plan, found.evaluation, subject.identity)
            return Evaluated(plan, found.evaluation, is_current=True)
    else:
        kept = Known(store()).of(plan)
        if kept is not None and kept.evaluation is not None:
            found = kept.evaluation
            if found.plan.subject == plan.subject:
                return Evaluated(plan, found.evaluation, is_current=True)
    if last is None or last.plan.subject != plan.subject:
        return None
    return Evaluated(last.plan, last.evaluation, is_current=False)


def keep(subject: LoadedSubject, plan: Plan, found: Evaluation) -> None:
    """Keep an evaluation, with what it told of the outputs: in the workspace, if it takes it."""
    unkept = ""
    try:
        found = keep_evaluation(store(), subject.prepared, plan, found)
    except StoreError as error:
        unkept = str(error)
    st.session_state[LAST] = _Seen(plan, found, subject.identity, unkept)
