"""Plans: those of this workspace, with what was measured of them, and two side by side."""

from __future__ import annotations

from pages.components import plans
from pages.components.frame import frame
from pages.components.widgets import empty, guarded

session = frame("Plans")
with guarded("The workspace cannot be read"):
    if session.store.plans.saved():
        plans.draw(session)
    else:
        empty(
            "No plans yet",
            "Each plan that you edit is kept in the workspace and listed here.",
            icon="bookmarks",
            action="Make a plan" if session.spec else "Go to setup",
            page="Plan" if session.spec else "Setup",
        )
