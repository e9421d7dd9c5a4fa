"""Plan: a ratio and a criterion per layer, with exact size and live accuracy."""

from __future__ import annotations

from pages.components.frame import frame
from pages.components.plan import view
from pages.components.widgets import guarded

session = frame("Plan")
with guarded("The plan cannot be shown"):
    view.draw(session)
