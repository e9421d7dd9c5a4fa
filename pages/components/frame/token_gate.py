"""What a dashboard with a token asks of whoever opens it."""

from __future__ import annotations

import hmac
import os

import streamlit as st

# Set by `prunescope serve --token`.
VARIABLE = "PRUNESCOPE_TOKEN"
KEY = "token"


def require_token() -> None:
    """Go on with who gave the launcher's token, in the address or here; others see nothing.

    It stays in the address, for a refresh is another session, and is no part of shared links.
    """
    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        return
    if not st.session_state.get(VARIABLE):
        given = st.query_params.get(KEY, "")
        if not _is_equal(given, wanted):
            typed = st.text_input("Token of this dashboard", type="password")
            if not _is_equal(typed, wanted):
                if typed:
                    st.error("This is not the token; it is in the address that `serve` printed.")
                st.stop()
            st.query_params[KEY] = wanted
            st.rerun()
        st.session_state[VARIABLE] = True
    if st.query_params.get(KEY) != wanted:
        st.query_params[KEY] = wanted


def _is_equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
