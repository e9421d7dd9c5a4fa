"""Export: the plan, the smaller model and the points, with a check that they read back."""

from __future__ import annotations

from pages.components import export
from pages.components.frame import frame
from pages.components.plan import gate
from pages.components.widgets import guarded

session = frame("Export")
plan = gate.pruning_plan(session)
if plan is not None:
    with guarded("The plan cannot be exported"):
        export.draw(session, plan)
