"""Runs: what this workspace has measured."""

from __future__ import annotations

from pages.components import runs
from pages.components.frame import frame
from pages.components.widgets import empty, guarded

session = frame("Runs")
with guarded("The workspace cannot be read"):
    if session.store.runs.all() or session.store.runs.damaged():
        runs.draw(session)
    else:
        empty(
            "No runs yet",
            f"Sweeps are kept in `{session.store.workspace}` and listed here.",
            icon="history",
            action="Plan a sweep" if session.spec else "Go to setup",
            page="Sweep" if session.spec else "Setup",
        )
        runs.offer_import()
