"""The frame of every page: browser title, sidebar with navigation and status, page header."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from analysis.evaluation import LoadedSubject
from analysis.records import NO_MODEL, SubjectSpec
from analysis.sentences import capital
from pages.components.frame import browser
from pages.components.frame.logo import draw, icon
from pages.components.frame.token_gate import require_token
from pages.components.plan import sidebar
from pages.components.state import Session, check, plan_state, session, subjects, url_state
from pages.components.widgets import (
    PAGES,
    Page,
    empty,
    formatting,
    guarded,
    job,
    no_subject,
    problem,
    ribbon,
    sections,
)
from pruners.errors import PruneScopeError, StoreError

# State of the subject -> badge.
CHECKS = {
    "checking": ":blue-badge[:material/sync: checking]",
    "failed": ":red-badge[:material/error: failed]",
    "ready": ":green-badge[:material/check: ready]",
}
# Of each kind, to go on with after a link that leads nowhere.
MAX_RECENT = 5
# What is doubtful -> colour of its badge.
DOUBTS = {
    "random weights": "red",
    "chance level": "red",
    "input scale": "orange",
    "few samples": "orange",
    "no labels": "blue",
    "left out": "blue",
}


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
    require_token()
    url_state.restore()
    browser.style()
    draw()
    with _readable_workspace():
        current = session.open_session()
        with st.sidebar:
            # Each part has its own place, so that one that comes or goes does not move the others.
            for part in (_navigation, _subject, job.chip, sidebar.totals, _share):
                with st.container():
                    part(current)
            browser.keys()
    if not is_home:
        with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
            st.title(title, anchor=False, width="content")
            st.caption(page.purpose, width="content")
    if current.broken:
        _broken_link(current)
        st.stop()
    if page.needs != "nothing":
        _end_check()
        _say_doubts(current)
    if page.needs != "nothing" and current.spec is None:
        no_subject(page)
        st.stop()
    if page.needs in ("subject", "plan") and _has_no_model(current.spec):
        empty(
            "These curves have no model",
            "They were imported as curves alone. Import the file again with a model, or choose "
            "another subject.",
            icon="move_to_inbox",
            action="Import again",
            page="Import",
        )
        st.stop()
    return current


@contextmanager
def _readable_workspace() -> Iterator[None]:
    """End the page with one line where the workspace cannot be read: a full disk, for example."""
    try:
        yield
    except StoreError as error:
        problem(error, title="The workspace cannot be read")
        st.stop()


def _has_no_model(spec: SubjectSpec | None) -> bool:
    return spec is not None and spec.model.startswith(NO_MODEL)


def _end_check() -> None:
    """End the check that was under way when the Setup page was left: its subject is meant."""
    last = check.last()
    if last is None or last.state == "failed" or last.spec is None:
        return
    title = formatting.escaped(formatting.title_of_subject(last.spec))
    with guarded("The subject cannot be used"):
        try:
            with st.spinner(f"Checking {title}", show_time=True):
                subject = session.loaded(last.spec)
                if subject.prepared.subject.evaluation is not None:
                    subject.baseline()
        except PruneScopeError as error:
            check.fail(last.spec, str(error))
        else:
            session.choose_subject(last.spec)
            check.end()
    if check.last() is last:
        # What was not foreseen has been shown.
        check.end()
    else:
        # The sidebar was drawn before.
        st.rerun()


def _say_doubts(current: Session) -> None:
    """Say in words, above the numbers, what makes all of them meaningless, and what failed."""
    last = check.last()
    if last is not None and last.state == "failed" and last.spec is not None:
        title = formatting.escaped(formatting.title_of_subject(last.spec))
        ribbon(f"{title} cannot be used: {formatting.message(last.reason)}", icon="error")
    subject = None if current.spec is None else subjects().peek(current.spec)
    for doubt in () if subject is None else subject.doubts():
        if DOUBTS[doubt.kind] == "red":
            ribbon(
                f"**{doubt.kind.capitalize()}.** {formatting.message(doubt.text)}", icon="warning"
            )


def _navigation(current: Session) -> None:
    badges, query = _badges(current), url_state.carried()
    for section, pages in sections().items():
        if not section:
            for page in pages:
                _link(page, page.title, query)
            continue
        st.caption(section)
        with st.container(gap="xsmall"):
            for page in pages:
                label = f"{page.title} {badges.get(page.title, '')}".strip()
                _link(page, label, query, width="stretch")


def _link(page: Page, label: str, query: dict[str, str], **options: Any) -> None:
    st.page_link(
        page.file,
        label=label,
        icon=f":material/{page.icon}:",
        query_params=query,
        **options,
    )


def _badges(current: Session) -> dict[str, str]:
    """Say in a word how far each step is."""
    badges = _check_badge(current)
    if current.run is not None:
        page = "Sweep" if current.run.source is None else "Import"
        badges[page] = job.badge(current.run, share=False)
        if current.is_stale:
            badges["Curves"] = ":orange-badge[:material/history: stale]"
        elif current.is_live and current.run.samples:
            badges["Curves"] = ":blue-badge[:material/sync: live]"
    badges |= sidebar.badges(current)
    return badges


def _check_badge(current: Session) -> dict[str, str]:
    """Say whether the subject in use was loaded, and whether another one failed."""
    last = check.last()
    if last is not None:
        return {"Setup": CHECKS[last.state]}
    if current.spec is None:
        return {}
    return {} if subjects().peek(current.spec) is None else {"Setup": CHECKS["ready"]}


def _subject(current: Session) -> None:
    """Say what is studied: names, options, samples, and what is doubtful about it."""
    if current.spec is None:
        return
    last = check.last()
    failed = last is not None and last.state == "failed" and last.spec != current.spec
    st.caption("Subject, still in use" if failed else "Subject")
    spec, subject = current.spec, subjects().peek(current.spec)
    lines = [f"**{formatting.escaped(formatting.title_of(spec.model))}**"]
    lines += _small(formatting.details_of(spec.model))
    if _has_no_model(spec):
        st.markdown("  \n".join([*lines, *_small("imported curves, no model")]))
        return
    lines.append(f"on {formatting.escaped(formatting.title_of(spec.data or 'no data'))}")
    lines += _small(formatting.details_of(spec.data or ""))
    lines += _small(f"{_samples(spec, subject)}, {spec.device}")
    lines += [badge for badge in [_doubts(current, subject)] if badge]
    st.markdown("  \n".join(lines))


def _small(text: str) -> list[str]:
    return [f":small[{formatting.escaped(text)}]"] if text else []


def _samples(spec: SubjectSpec, subject: LoadedSubject | None) -> str:
    """Say how many samples are evaluated; how many were asked for, while that is not known."""
    if subject is None or subject.prepared.subject.evaluation is None:
        if spec.data is None:
            return "nothing evaluated"
        return f"{formatting.thousands(spec.samples)} samples" if spec.samples else "all samples"
    count = len(subject.prepared.subject.evaluation)
    said = f"{formatting.plural(count, 'sample')} evaluated"
    if spec.samples is not None and count < spec.samples:
        said += f" of {formatting.thousands(spec.samples)} asked for"
    return said


def _doubts(current: Session, subject: LoadedSubject | None) -> str:
    """Return what is doubtful about the subject's numbers, as badges in words and colour."""
    kinds: list[str]
    if subject is not None:
        kinds = [doubt.kind for doubt in subject.doubts()]
    else:
        run = None if current.is_stale else current.run
        kinds = ["no labels"] if run is not None and run.samples and not run.has_labels else []
    return " ".join(f":{DOUBTS[kind]}-badge[{kind}]" for kind in kinds)


def _share(_: Session) -> None:
    with st.popover("Share this view", icon=":material/link:", width="stretch"):
        st.caption("Opens this subject, run, plan and view: in another tab, after a restart.")
        st.code(url_state.link(), language=None, wrap_lines=True)


def _broken_link(current: Session) -> None:
    st.error(
        formatting.message(capital(current.broken)),
        title="This link cannot be followed",
        icon=":material/link_off:",
    )
    with st.container(horizontal=True):
        st.button("Start fresh", type="primary", on_click=session.start_fresh, key="broken_fresh")
        for saved in current.store.plans.saved()[:MAX_RECENT]:
            st.button(
                f"Open plan {formatting.escaped(saved.label)}",
                key=f"open_{saved.plan_id}",
                on_click=plan_state.open_plan,
                args=(saved.plan_id,),
            )
        for row in current.store.runs.all()[:MAX_RECENT]:
            st.button(
                f"Open {row.run_id}",
                key=f"open_{row.run_id}",
                on_click=session.open_run,
                args=(row.run_id,),
            )
