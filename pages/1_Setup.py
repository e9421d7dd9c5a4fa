"""Setup: choose model and data, check that they fit, measure the baseline."""

from __future__ import annotations

from analysis.subjects import sample_names
from pages.components.frame import frame
from pages.components.setup import form, report
from pages.components.state import choose_subject
from pages.components.widgets import guarded

session = frame("Setup")
chosen = form.form(session.spec, samples=sample_names())
spec = chosen or session.spec
if spec is None:
    report.first_use()
else:
    with guarded("The subject cannot be used"):
        subject = report.checklist(spec)
        if chosen is not None:
            choose_subject(spec)
        report.model_map(subject)
        report.next_step(session)
