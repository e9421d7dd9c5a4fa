"""The frame of every page: browser title, sidebar with navigation and status, page header."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from pages.components.frame.logo import draw, icon
from pages.components.plan import sidebar
from pages.components.state import Session, session, url_state
from pages.components.widgets import PAGE_FILES, formatting, job


@dataclass(frozen=True, slots=True)
class Page:
    """How a page presents itself."""

    icon: str
    purpose: str


PAGES = {
    "Home": Page("home", ""),
    "Setup": Page("deployed_code", "Choose what to prune and what counts as good."),
    "Sweep": Page("speed", "Measure how each layer reacts to losing a part of itself."),
    "Curves": Page("show_chart", "See which layers can give, and how surely."),
    "Compare": Page("compare", "See which criterion fits which layer."),
    "Plan": Page("tune", "Choose a ratio and a criterion per layer and watch what it does."),
    "Evaluate": Page("fact_check", "Apply the plan to a copy and look at both side by side."),
    "Export": Page("ios_share", "Take the plan, the smaller model and the points with you."),
    "Runs": Page("history", "Open, resume, merge or delete what was measured."),
}
SECTIONS = {
    "Measure": ("Setup", "Sweep", "Curves", "Compare"),
    "Decide": ("Plan", "Evaluate"),
    "Deliver": ("Export", "Runs"),
}


def frame(page: str) -> Session:
    """Draw what every page has and return what it works on.

    A link to a run that this workspace does not have ends the page with what to do instead.
    """
    about = PAGES[page]
    name = "PruneScope" if page == "Home" else f"{page} \N{MIDDLE DOT} PruneScope"
    # A Material icon would be fetched from the network by the browser.
    st.set_page_config(page_title=name, page_icon=icon(), layout="wide")
    url_state.restore()
    current = session.open_session()
    draw()
    with st.sidebar:
        # Each part has its own place, so that one that comes or goes does not move the others.
        for part in (_navigation, _subject, job.chip, sidebar.totals, _share):
            with st.container():
                part(current)
    if page != "Home":
        st.title(page, anchor=False)
        st.caption(about.purpose)
    if current.broken:
        _broken_link(current)
        st.stop()
    return current


def _navigation(current: Session) -> None:
    badges = _badges(current)
    carried = url_state.carried()
    st.page_link(PAGE_FILES["Home"], label="Home", icon=":material/home:", query_params=carried)
    for section, pages in SECTIONS.items():
        st.caption(section)
        with st.container(gap="xsmall"):
            for page in pages:
                st.page_link(
                    PAGE_FILES[page],
                    label=f"{page} {badges.get(page, '')}".strip(),
                    icon=f":material/{PAGES[page].icon}:",
                    query_params=carried,
                    width="stretch",
                )


def _badges(current: Session) -> dict[str, str]:
    """Say in a word how far each step is."""
    badges = {}
    if current.spec is not None:
        badges["Setup"] = ":green-badge[:material/check: ready]"
    if current.run is not None:
        badges["Sweep"] = job.badge(current.run, share=False)
        if current.is_stale:
            badges["Curves"] = ":orange-badge[:material/history: stale]"
        elif current.is_live:
            badges["Curves"] = ":blue-badge[:material/sync: live]"
    badges |= sidebar.badges(current)
    return badges


def _subject(current: Session) -> None:
    if current.spec is None:
        return
    st.caption("Subject")
    spec = current.spec
    data = formatting.title_of(spec.data) if spec.data else "no data"
    samples = f"{formatting.thousands(spec.samples)} samples" if spec.samples else "all samples"
    st.markdown(
        f"**{formatting.title_of(spec.model)}** on {data}  \n:small[{samples}, {spec.device}]"
    )


def _share(_: Session) -> None:
    with st.popover("Share this view", icon=":material/link:", width="stretch"):
        st.caption("Opens this run, plan and view, also in another tab or after a restart.")
        st.code(url_state.link(), language=None, wrap_lines=True)


def _broken_link(current: Session) -> None:
    st.error(current.broken, title="This link cannot be followed", icon=":material/link_off:")
    recent = current.store.runs()[:5]
    with st.container(horizontal=True):
        st.button("Start fresh", type="primary", on_click=session.start_fresh, key="broken_fresh")
        for row in recent:
            st.button(
                f"Open {row.run_id}",
                key=f"open_{row.run_id}",
                on_click=session.open_run,
                args=(row.run_id,),
            )
