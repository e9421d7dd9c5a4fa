"""The subjects of this server process, and what pages read off them without loading one."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analysis.comparison import removed_agreement
from analysis.evaluation import LoadedSubject, Subjects
from analysis.records import Identity, SweepSpec


@st.cache_resource(show_spinner=False)
def subjects() -> Subjects:
    """Return the subjects of this server process."""
    return Subjects()


def agreement(subject: LoadedSubject, spec: SweepSpec, *, ratio: float) -> pd.DataFrame:
    """Return how far the criteria of a sweep remove the same; computed once."""
    return _agreement(subject, subject.identity, spec.to_json(), ratio)


@st.cache_data(max_entries=32, show_spinner=False)
def _agreement(
    _subject: LoadedSubject, identity: Identity, spec_json: str, ratio: float
) -> pd.DataFrame:
    spec = SweepSpec.from_json(spec_json)
    return removed_agreement(_subject.prepared, spec, ratio=ratio)
