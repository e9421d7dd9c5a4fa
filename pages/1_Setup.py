"""Setup: choose model and data, check that they fit, measure the baseline."""

from __future__ import annotations

from pages.components.frame import frame
from pages.components.setup import form, report

session = frame("Setup")
report.draw(session, form.form(session.spec))
