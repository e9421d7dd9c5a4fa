"""Cards and captions that several pages show."""

from __future__ import annotations

import streamlit as st

from analysis.curves import GroupSize
from pages.components.widgets import formatting
from pruners.granularity import parse


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


def group_caption(size: GroupSize | None, granularity: str) -> None:
    """Say which layers are pruned together, and what all of them take of the model.

    Args:
        size: The group; None where nobody knows it, then nothing is said.
        granularity: What one decision removes.
    """
    if size is None:
        return
    others = size.layers[1:]
    text = (
        f"One group of {formatting.plural(len(size.layers), 'layer')}: pruned together with "
        f"{formatting.code_list(others, most=6)}. "
        if others
        else "Pruned alone. "
    )
    if parse(granularity).is_whole:
        text = f"Kept or gone as a whole: {formatting.code_list(size.layers, most=6)}. "
    takes = f"All of it takes {formatting.percent(size.params, digits=1)} of the parameters"
    if size.macs:
        takes += f" and {formatting.percent(size.macs, digits=1)} of the MACs"
    st.caption(f"{text}{takes}.")
