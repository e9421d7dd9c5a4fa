"""Sweep: choose what to measure, see what it costs, start it, watch it."""

from __future__ import annotations

import streamlit as st

from pages.components.frame import frame
from pages.components.state import loaded
from pages.components.sweep import form, monitor
from pages.components.widgets import guarded, job

session = frame("Sweep")
job.resume_banner(session)
if session.run is not None and not session.is_stale:
    monitor.draw(session)
with guarded("This sweep cannot be started"):
    if session.is_live:
        monitor.offer_code(session)
    else:
        with st.spinner("Loading the subject", show_time=True):
            subject = loaded(session.chosen)
        form.draw(session, subject)
