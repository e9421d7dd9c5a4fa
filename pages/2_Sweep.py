"""Sweep: choose what to measure, see what it costs, start it, watch it."""

from __future__ import annotations

from pages.components import job, sweep_form, sweep_monitor
from pages.components.frame import frame
from pages.components.session import loaded
from pages.components.states import empty, guarded

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
        sweep_monitor.draw(session)
    with guarded("This sweep cannot be started"):
        if not session.is_live:
            sweep_form.draw(session, loaded(session.spec))
