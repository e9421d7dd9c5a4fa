"""PruneScope's dashboard: the home page and entry point of ``streamlit run app.py``."""

from __future__ import annotations

from pages.components import home
from pages.components.frame import frame

session = frame("Home")
home.draw(session)
