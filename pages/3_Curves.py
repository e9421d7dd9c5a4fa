"""Curves: what each layer tolerates, live while the sweep runs."""

from __future__ import annotations

from pages.components import curves_view, run_state
from pages.components.frame import frame
from pages.components.states import guarded

session = frame("Curves")
if run_state.has_points(session):
    run_state.ribbons(session)
    with guarded("The curves cannot be drawn"):
        curves_view.draw(session)
