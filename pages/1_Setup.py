"""Setup: choose model and data, check that they fit, measure the baseline."""

from __future__ import annotations

from analysis.samples import sample_names
from pages.components import setup_form, setup_report
from pages.components.frame import frame
from pages.components.session import choose_subject
from pages.components.states import guarded

session = frame("Setup")
chosen = setup_form.form(session.spec, samples=sample_names())
spec = chosen or session.spec
if spec is None:
    setup_report.first_use()
else:
    with guarded("The subject cannot be used"):
        subject = setup_report.checklist(spec)
        if chosen is not None:
            choose_subject(spec)
        setup_report.model_map(subject)
        setup_report.next_step(session)
