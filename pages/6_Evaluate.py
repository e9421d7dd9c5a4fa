"""Evaluate: the plan applied to a copy, side by side with the dense model."""

from __future__ import annotations

from pages.components import evaluate_view, plan_gate
from pages.components.frame import frame
from pages.components.states import guarded

session = frame("Evaluate")
plan = plan_gate.pruning_plan(session)
if plan is not None:
    with guarded("The plan cannot be evaluated"):
        evaluate_view.draw(session, plan)
