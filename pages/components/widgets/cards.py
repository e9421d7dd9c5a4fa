"""Cards that several pages show."""

from __future__ import annotations

import streamlit as st

from pages.components.widgets import formatting


def size_card(label: str, dense: int, pruned: int) -> None:
    """Show a size after pruning, and how far it fell.

    Args:
        label: What is counted.
        dense: The dense model's count.
        pruned: What is left of it.
    """
    st.metric(
        label,
        formatting.si(pruned),
        **formatting.delta(
            formatting.change(dense, pruned), changed=pruned != dense, better_when="down"
        ),
        delta_description=f"of {formatting.si(dense)}",
        help=f"Exactly {formatting.thousands(pruned)} of {formatting.thousands(dense)}.",
        border=True,
        height="stretch",
    )
