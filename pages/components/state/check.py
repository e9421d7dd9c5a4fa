"""How the check of a subject on the Setup page went: the sidebar says it on every page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import streamlit as st

from analysis.records import SubjectSpec

STATE = "subject_check"
State = Literal["checking", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """A check that has not passed.

    Attributes:
        state: Whether it is under way or failed.
        spec: What was checked; None before the form was read.
        reason: Why it failed.
    """

    state: State
    spec: SubjectSpec | None = None
    reason: str = ""


def begin(spec: SubjectSpec | None = None) -> None:
    """Note that a check has begun: before anything is drawn, and again with what is checked.

    Whoever leaves the page has the check ended on the next one.
    """
    st.session_state[STATE] = Check("checking", spec)


def fail(spec: SubjectSpec, reason: str) -> None:
    """Note that a subject cannot be used."""
    st.session_state[STATE] = Check("failed", spec, reason)


def end() -> None:
    """Forget the last check: its subject is in use, or another one was chosen."""
    st.session_state.pop(STATE, None)


def last() -> Check | None:
    """Return the last check, unless it passed."""
    found: Check | None = st.session_state.get(STATE)
    return found
