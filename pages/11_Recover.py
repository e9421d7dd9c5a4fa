"""Recover: the plan's model trained, so that it gets back what pruning cost."""

from __future__ import annotations

from pages.components import recover
from pages.components.frame import frame
from pages.components.plan import gate
from pages.components.widgets import guarded

session = frame("Recover")
plan = gate.pruning_plan(session)
if plan is not None:
    with guarded("The plan cannot be trained"):
        recover.view.draw(session, plan)
