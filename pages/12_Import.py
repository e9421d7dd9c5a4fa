"""Import: what another tool measured becomes a run."""

from __future__ import annotations

from pages.components import imports
from pages.components.frame import frame
from pages.components.widgets import guarded

session = frame("Import")
with guarded("The file cannot be imported"):
    imports.draw(session)
