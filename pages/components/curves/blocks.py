"""Which layers the Curves page shows: a filter by name, and in deep networks blocks to open."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from analysis.curves import blocks_of, layer_order
from pages.components.state import url_state
from pages.components.widgets import formatting

FOLDED, EVERY = "", "*"


def filtered(points: pd.DataFrame) -> pd.DataFrame:
    """Return the points of the layers that filter and block leave."""
    pattern, block = str(url_state.value("layers")).strip(), str(url_state.value("block"))
    wanted = pattern if any(mark in pattern for mark in "*?[") else f"*{pattern}*"
    layers = [
        name
        for name in layer_order(points)
        if fnmatch.fnmatchcase(name, wanted) and _is_in(name, block)
    ]
    return points[points["layer"].isin(layers)]


def _is_in(name: str, block: str) -> bool:
    return block in (FOLDED, EVERY, name) or name.startswith(f"{block}.")


def say_nothing_matches() -> None:
    """Say that no layer is left, and offer all of them."""
    pattern, block = url_state.value("layers"), url_state.value("block")
    text = f"No layer matches **{formatting.escaped(pattern)}**" if pattern else "No layer"
    is_block = block not in (FOLDED, EVERY)
    inside = f" in the block **{formatting.escaped(block)}**" if is_block else ""
    st.info(f"{text}{inside}.", icon=":material/filter_list_off:")
    st.button("Clear filter", on_click=_clear)


def _clear() -> None:
    url_state.put("layers", "")
    url_state.put("block", FOLDED)


def draw(points: pd.DataFrame, chosen: pd.DataFrame) -> dict[str, str]:
    """Ask which block is open, where the layers are many.

    Args:
        points: All points.
        chosen: What `filtered` left of them.

    Returns:
        The block of each layer that is shown, to fold them by; empty where they are few.
    """
    every = layer_order(points)
    of_all, block = blocks_of(every), str(url_state.value("block"))
    names = list(dict.fromkeys(of_all.values()))
    shown = layer_order(chosen)
    inside = blocks_of(shown)
    folded = inside if block != EVERY and len(set(inside.values())) < len(shown) else {}
    if len(names) < len(every) or block not in (FOLDED, EVERY):
        labels = _labels(of_all)
        options = [FOLDED, *names, EVERY]
        if block not in options:
            options.insert(1, block)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            url_state.choice(
                "block",
                "Block",
                options,
                format_func=lambda name: labels.get(name, name),
                width=340,
                help="Matrix, ranking and table show a deep network block by block.",
            )
            if block != FOLDED:
                st.button(
                    "All blocks",
                    icon=":material/unfold_less:",
                    on_click=url_state.put,
                    args=("block", FOLDED),
                )
    return folded


def _labels(of_all: Mapping[str, str]) -> dict[str, str]:
    sizes = Counter(of_all.values())
    return {
        FOLDED: f"All {formatting.plural(len(of_all), 'group')}, folded by block",
        EVERY: f"All {formatting.plural(len(of_all), 'group')}, a row each",
        **{name: f"{name} ({formatting.plural(count, 'group')})" for name, count in sizes.items()},
    }


def counts(folded: Mapping[str, str]) -> dict[str, str]:
    """Return how many groups each block has, as it stands behind its name."""
    return {name: f" ({count})" for name, count in Counter(folded.values()).items()}
