"""Empty, stale and error states: one line, one next step."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import streamlit as st
from streamlit.runtime.scriptrunner import RerunException, StopException

from analysis.memory import is_out_of_memory
from analysis.sentences import capital
from analysis.tasks import Words
from analysis.versions import is_changed
from pages.components.widgets.formatting import escaped, message
from pages.components.widgets.page_registry import Page, go
from pruners.errors import CaptureError, InputError, PruneScopeError, StoreError
from pruners.user_code import exit_text, users_error

CHANGED = ":material/sync_problem:"
ENDS_AGAIN = "It would end there again: change what was asked for, or mend what is named."
LOG = logging.getLogger(__name__)
# Need of a page -> title and icon while nothing was chosen.
_NOTHING_YET = {
    "subject": ("No subject yet", "deployed_code"),
    "points": ("No sweep yet", "speed"),
    "plan": ("No subject yet", "deployed_code"),
}


def empty(title: str, text: str, *, icon: str, action: str = "", page: str = "") -> None:
    """Say that there is nothing here yet, why, and offer the one thing to do."""
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        st.subheader(f":material/{icon}: {title}", anchor=False, text_alignment="center")
        st.markdown(text, text_alignment="center")
        if action and st.button(action, type="primary", icon=":material/arrow_forward:"):
            go(page)
        st.space("small")


def no_subject(page: Page) -> None:
    """Say that a page needs a subject, and where to choose one."""
    title, icon = _NOTHING_YET[page.needs]
    empty(title, page.without, icon=icon, action="Go to setup", page="Setup")


def problem(error: Exception, *, title: str = "This did not work") -> None:
    """Show an error of the project as what was found and what to do."""
    text = capital(str(error)) or type(error).__name__
    st.error(message(text), title=title, icon=":material/error:")
    if is_out_of_memory(error):
        st.caption("A smaller batch size or fewer samples on the Setup page need less memory.")
    elif isinstance(error, StoreError):
        st.caption("Check that the workspace folder exists, has space and may be written to.")
    elif isinstance(error, CaptureError):
        st.caption("The model still works without groups: choose the granularity element.")


def unfinished(
    state: str,
    said: Mapping[str, tuple[str, str]],
    *,
    about: str = "",
    comes_again: bool = False,
    key: str,
    again: Callable[[], None],
) -> None:
    """Say how a job ended without an answer, and offer to go on where that may help.

    Args:
        state: How it ended: "failed", "cancelled" or "interrupted".
        said: For each of these, a title and the reason; the reason is shown as it is.
        about: What was asked for, in Markdown.
        comes_again: Whether it would end there again.
        key: Of the button.
        again: Starts the job again, or goes on with it.
    """
    title, reason = said[state]
    has_failed = state == "failed"
    icon = ":red[:material/error:]" if has_failed else ":material/pause_circle:"
    asked = f" ({about})" if about else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{icon} **{title}**{asked}: {message(_ended(reason))}", width="stretch")
        if comes_again:
            st.caption(ENDS_AGAIN)
            return
        label = "Try again" if has_failed else "Go on"
        if st.button(label, type="primary", icon=":material/play_arrow:", key=key):
            again()


def _ended(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


@contextmanager
def guarded(title: str = "This did not work") -> Iterator[None]:
    """Turn errors of the block into one clear line; what went before stays on the page.

    What the program did not foresee is shown as what it is: a bug, with what to report.
    """
    try:
        yield
    except (KeyboardInterrupt, RerunException, StopException):
        raise
    except PruneScopeError as error:
        problem(error, title=title)
    except Exception as error:
        if is_out_of_memory(error):
            problem(error, title=title)
            return
        if line := users_error(error):
            problem(InputError(line), title=title)
            return
        LOG.exception("page failed")
        told = escaped(f"{type(error).__name__}: {error}")
        if is_changed():
            title = "PruneScope was changed while this server ran"
            st.error(f"Stop the server and start it again. {told}", title=title, icon=CHANGED)
        else:
            st.error(told, title="This is a bug of PruneScope", icon=":material/bug_report:")
        with st.expander("Details to report"):
            st.code(traceback.format_exc(), language="python")
    except BaseException as error:
        # Of users' code, which would end the program.
        problem(InputError(exit_text(error)), title=title)


def refreshed(
    body: Callable[..., None], *arguments: object, every: float | None, title: str
) -> None:
    """Draw a part of the page on its own, again every so many seconds.

    Args:
        body: Draws the part.
        arguments: What it is called with.
        every: Seconds; None draws it once, and again when a widget in it changes.
        title: What to say when it fails.
    """

    def guarded_body() -> None:
        # Streamlit shows what a fragment raises as a traceback, so nothing may leave it.
        with guarded(title):
            body(*arguments)

    guarded_body.__qualname__ = body.__qualname__
    st.fragment(guarded_body, run_every=every)()


def no_labels(words: Words) -> None:
    """Say what a score means without labels."""
    st.info(
        f"{words.without_labels} A drop means that answers change.",
        icon=":material/label_off:",
    )


def ribbon(text: str, *, icon: str = "history") -> None:
    """Say above the content that it is partial, stale or from elsewhere."""
    st.warning(text, icon=f":material/{icon}:")
