"""Curves: what each layer tolerates, live while the sweep runs."""

from __future__ import annotations

from pages.components.curves import view
from pages.components.frame import frame
from pages.components.widgets import guarded, run_state

session = frame("Curves")
if run_state.measured_run(session):
    run_state.ribbons(session)
    with guarded("The curves cannot be drawn"):
        view.draw(session)
