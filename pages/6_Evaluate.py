"""Evaluate: the plan applied to a copy, side by side with the dense model."""

from __future__ import annotations

from pages.components import evaluate
from pages.components.frame import frame
from pages.components.plan import gate
from pages.components.widgets import guarded

session = frame("Evaluate")
plan = gate.pruning_plan(session)
if plan is not None:
    with guarded("The plan cannot be evaluated"):
        evaluate.draw(session, plan)
