"""What a page shows, to copy: as a command and as Python."""

from __future__ import annotations

import streamlit as st

from analysis.snippets import Snippet


def offer(snippet: Snippet) -> None:
    """Offer a snippet in the sidebar; call once a page, outside of its fragments."""
    with (
        st.sidebar,
        st.popover("Copy as code", icon=":material/code:", width="stretch", key="code_snippet"),
    ):
        st.caption("The same from the command line")
        st.code(snippet.cli, language="bash", wrap_lines=True)
        st.caption("and in Python")
        st.code(snippet.python, language="python", wrap_lines=True)
