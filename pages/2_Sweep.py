"""Sweep: choose what to measure, see what it costs, start it, watch it."""

from __future__ import annotations

from pages.components.frame import frame
from pages.components.state import loaded
from pages.components.sweep import form, monitor
from pages.components.widgets import empty, guarded, job

session = frame("Sweep")
if session.spec is None:
    empty(
        "No subject yet",
        "A sweep needs a model and data. Choose yours, or take the demo.",
        icon="deployed_code",
        action="Go to setup",
        page="Setup",
    )
else:
    job.resume_banner(session)
    if session.run is not None and not session.is_stale:
        monitor.draw(session)
    with guarded("This sweep cannot be started"):
        if not session.is_live:
            form.draw(session, loaded(session.spec))
