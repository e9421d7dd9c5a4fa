"""Charts on a page: theme, text alternative, image download, selection."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.figures import alt
from analysis.sentences import capital
from pages.components.state import url_state

# Lines that one chart can show apart: as many as the palette has colours.
SERIES = 6
# Choices that fit beside each other as segments; more become a list.
SEGMENTS = 5
# Pixels that two charts beside each other need, which a window of 1,280 px has beside the sidebar,
# and those between the columns of a grid.
WIDE, GAP = 840, 16


def series(every: Sequence[str], shown: Sequence[str]) -> Sequence[str]:
    """Return the criteria that give the lines their look.

    All of the run, so that each looks the same in every chart; where they are more than there are
    colours, those that are shown.
    """
    return every if len(every) <= SERIES else shown


def theme() -> str:
    """Return ``light`` or ``dark``: what the reader's browser shows."""
    return "dark" if st.context.theme.type == "dark" else "light"


@st.cache_resource(max_entries=128, show_spinner=False)
def _kept(key: tuple[Hashable, ...], _build: Callable[[], go.Figure]) -> go.Figure:
    return _build()


def kept(build: Callable[[], go.Figure], *key: Hashable) -> go.Figure:
    """Return a figure that was built before from the same data and choices, or build it.

    All sessions get the same figure: nobody changes it.

    Args:
        build: Builds the figure.
        key: Everything that it depends on.
    """
    return _kept((*key, theme()), build)


def show(
    figure: go.Figure,
    *,
    key: str,
    on_pick: Callable[[Sequence[Any]], None] | None = None,
    file_name: str = "chart",
) -> None:
    """Draw a figure as it is; a click calls ``on_pick`` with the point's ``customdata``."""
    config: dict[str, Any] = {
        "displaylogo": False,
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        "toImageButtonOptions": {"format": "svg", "filename": file_name},
    }
    common: dict[str, Any] = {"theme": None, "config": config, "alt": alt(figure) or None}
    if on_pick is None:
        st.plotly_chart(figure, key=key, **common)
        return
    st.plotly_chart(
        figure,
        key=key,
        on_select=lambda: _picked(st.session_state[key], on_pick),
        selection_mode="points",
        **common,
    )


def _picked(state: Mapping[str, Any], on_pick: Callable[[Sequence[Any]], None]) -> None:
    chosen = state["selection"]["points"]
    if chosen and chosen[0].get("customdata"):
        data = chosen[0]["customdata"]
        # Streamlit hands lists over as dictionaries with the positions as keys.
        values = list(data.values()) if isinstance(data, Mapping) else list(data)
        if values and values[0] is not None:
            on_pick(values)


def beside(left: int, right: int) -> tuple[DeltaGenerator, DeltaGenerator]:
    """Return two places beside each other, so wide; on small screens one above the other.

    Args:
        left: Parts of the width for the first one.
        right: Parts for the second one.
    """
    parts = left + right
    grid = st.grid(parts, min_column_width=(WIDE - GAP * (parts - 1)) // parts)
    return grid.cell(column_span=left), grid.cell(column_span=right)


def is_zoomed() -> bool:
    """Return whether charts of drops reach to a few tolerances only."""
    return bool(url_state.value("reach") == url_state.REACHES[0])


def reach_switch(text: str) -> None:
    """Draw what is below a chart of drops: how to read it, and how far it reaches."""
    with st.container(horizontal=True, vertical_alignment="top"):
        st.caption(text, width="stretch")
        url_state.choice(
            "reach",
            "Drops shown",
            list(url_state.REACHES),
            kind="segmented",
            format_func=capital,
            label_visibility="collapsed",
            width="content",
        )


def as_table(table: pd.DataFrame, *, key: str, file_name: str, **options: Any) -> None:
    """Offer the chart's numbers as a table and a CSV file."""
    with st.expander(
        "Show as table", icon=":material/table_rows:", key=key, on_change="rerun"
    ) as box:
        if not box.open:
            return
        st.dataframe(table, hide_index=True, **options)
        st.download_button(
            "Download CSV",
            table.to_csv(index=False),
            file_name=f"{file_name}.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key=f"{key}_csv",
        )
