"""The frame of every page: browser title, sidebar with navigation and status, page header."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.components.frame.logo import draw, icon
from pages.components.plan import sidebar
from pages.components.state import Session, session, url_state
from pages.components.widgets import PAGES, Page, formatting, job, no_subject, sections


def frame(title: str) -> Session:
    """Draw what every page has and return what it works on.

    A link to a run that this workspace does not have, or a subject that the page needs and that
    nobody chose yet, ends the page with what to do instead.
    """
    page = PAGES[title]
    is_home = not page.section
    name = "PruneScope" if is_home else f"{title} \N{MIDDLE DOT} PruneScope"
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
    if not is_home:
        st.title(title, anchor=False)
        st.caption(page.purpose)
    if current.broken:
        _broken_link(current)
        st.stop()
    if page.needs != "nothing" and current.spec is None:
        no_subject(page)
        st.stop()
    return current


def _navigation(current: Session) -> None:
    badges = _badges(current)
    for section, pages in sections().items():
        if not section:
            for page in pages:
                _link(page, page.title)
            continue
        st.caption(section)
        with st.container(gap="xsmall"):
            for page in pages:
                _link(page, f"{page.title} {badges.get(page.title, '')}".strip(), width="stretch")


def _link(page: Page, label: str, **options: Any) -> None:
    st.page_link(
        page.file,
        label=label,
        icon=f":material/{page.icon}:",
        query_params=url_state.carried(),
        **options,
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
    recent = current.store.runs.all()[:5]
    with st.container(horizontal=True):
        st.button("Start fresh", type="primary", on_click=session.start_fresh, key="broken_fresh")
        for row in recent:
            st.button(
                f"Open {row.run_id}",
                key=f"open_{row.run_id}",
                on_click=session.open_run,
                args=(row.run_id,),
            )
