"""Export: the plan, the smaller model and the points, with a check that they read back."""

from __future__ import annotations

from pages.components import export_view, plan_gate
from pages.components.frame import frame
from pages.components.states import guarded

session = frame("Export")
plan = plan_gate.pruning_plan(session)
if plan is not None:
    with guarded("The plan cannot be exported"):
        export_view.draw(session, plan)
