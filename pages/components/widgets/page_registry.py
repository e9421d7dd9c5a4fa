"""The pages, once: navigation, header, empty states and tests read them here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from pages.components.state import url_state

Need = Literal["nothing", "subject", "points", "plan"]


@dataclass(frozen=True, slots=True)
class Page:
    """How a page is named and what it works on.

    Attributes:
        title: In navigation, header and browser tab.
        file: Its script, from the folder of ``app.py``.
        icon: Name of a Material icon.
        section: What it stands under in the navigation; empty for none.
        purpose: The line below its title.
        needs: What must be there for it to work.
        without: What it says while no subject is chosen, if it needs one.
    """

    title: str
    file: str
    icon: str
    section: str = ""
    purpose: str = ""
    needs: Need = "nothing"
    without: str = ""


_SUBJECT_FIRST = "Choose a model and data first, or take the demo."
_SWEEP_FIRST = "Choose a model and data first; the demo takes a minute."

PAGES: Mapping[str, Page] = {
    page.title: page
    for page in (
        Page("Home", "app.py", "home"),
        Page(
            "Setup",
            "pages/1_Setup.py",
            "deployed_code",
            "Measure",
            "Choose what to prune and what counts as good.",
        ),
        Page(
            "Sweep",
            "pages/2_Sweep.py",
            "speed",
            "Measure",
            "Measure how each layer reacts to losing a part of itself.",
            "subject",
            "A sweep needs a model and data. Choose yours, or take the demo.",
        ),
        Page(
            "Curves",
            "pages/3_Curves.py",
            "show_chart",
            "Measure",
            "See which layers can give, and how surely.",
            "points",
            _SWEEP_FIRST,
        ),
        Page(
            "Compare",
            "pages/4_Compare.py",
            "compare",
            "Measure",
            "See which criterion fits which layer.",
            "points",
            _SWEEP_FIRST,
        ),
        Page(
            "Import",
            "pages/12_Import.py",
            "move_to_inbox",
            "Measure",
            "Bring what another tool measured, as a run to look at and to plan from.",
        ),
        Page(
            "Plan",
            "pages/5_Plan.py",
            "tune",
            "Decide",
            "Choose a ratio and a criterion per layer and watch what it does.",
            "subject",
            "A plan is made for a model. Choose yours, or take the demo.",
        ),
        Page(
            "Trade-off",
            "pages/10_Trade-off.py",
            "scatter_plot",
            "Decide",
            "See what each size costs, and take a plan that was measured.",
            "subject",
            "A trade-off is measured for a model. Choose yours, or take the demo.",
        ),
        Page(
            "Evaluate",
            "pages/6_Evaluate.py",
            "fact_check",
            "Decide",
            "Apply the plan to a copy and look at both side by side.",
            "plan",
            _SUBJECT_FIRST,
        ),
        Page(
            "Recover",
            "pages/11_Recover.py",
            "model_training",
            "Decide",
            "Train the pruned model so that it gets back what pruning cost.",
            "plan",
            _SUBJECT_FIRST,
        ),
        Page(
            "Plans",
            "pages/9_Plans.py",
            "bookmarks",
            "Decide",
            "Open, name, compare or delete the plans of this workspace.",
        ),
        Page(
            "Export",
            "pages/7_Export.py",
            "ios_share",
            "Deliver",
            "Take the plan, the smaller model and the points with you.",
            "plan",
            _SUBJECT_FIRST,
        ),
        Page(
            "Runs",
            "pages/8_Runs.py",
            "history",
            "Deliver",
            "Open, resume, merge or delete what was measured.",
        ),
    )
}


def sections() -> dict[str, list[Page]]:
    """Return the pages by section, both in their order; those without one under the empty name."""
    found: dict[str, list[Page]] = {}
    for page in PAGES.values():
        found.setdefault(page.section, []).append(page)
    return found


def go(title: str) -> None:
    """Switch to another page and keep what the address carries."""
    st.switch_page(PAGES[title].file, query_params=url_state.carried())
