"""The pages: their files, and how to go there."""

from __future__ import annotations

import streamlit as st

from pages.components.state import url_state

PAGE_FILES = {
    "Home": "app.py",
    "Setup": "pages/1_Setup.py",
    "Sweep": "pages/2_Sweep.py",
    "Curves": "pages/3_Curves.py",
    "Compare": "pages/4_Compare.py",
    "Plan": "pages/5_Plan.py",
    "Evaluate": "pages/6_Evaluate.py",
    "Export": "pages/7_Export.py",
    "Runs": "pages/8_Runs.py",
}


def go(page: str) -> None:
    """Switch to another page and keep what the address carries."""
    st.switch_page(PAGE_FILES[page], query_params=url_state.carried())
