"""Plan: a ratio and a criterion per layer, with exact size and live accuracy."""

from __future__ import annotations

from pages.components.frame import frame
from pages.components.plan import view
from pages.components.widgets import empty, guarded

session = frame("Plan")
if session.spec is None:
    empty(
        "No subject yet",
        "A plan is made for a model. Choose yours, or take the demo.",
        icon="deployed_code",
        action="Go to setup",
        page="Setup",
    )
else:
    with guarded("The plan cannot be shown"):
        view.draw(session)
