"""The network as a map to click in: on Curves by what is tolerated, on Plan by what is removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from analysis import figures
from analysis.curves import GroupSize, network_edges, network_nodes, nodes_of
from analysis.records import Inventory
from pages.components.state import url_state
from pages.components.widgets import charts

EXPLANATION = (
    "From the input at the top to the output; arcs skip layers. A node is a layer, in deep "
    "networks a block that a click opens. Marked: all layers of the group in focus, which lose "
    "channels together; a click brings another group into focus. Hollow: not prunable."
)


def figure(
    inventory: Inventory | None,
    groups: Mapping[str, GroupSize],
    values: Mapping[str, float],
    *,
    focus: str,
    label: str,
) -> go.Figure:
    """Build the map.

    Args:
        inventory: Of the model; None where nobody knows it.
        groups: What stands behind each curve, by the layer that names it.
        values: The share that colours each, 0..1.
        focus: The layer in focus.
        label: What the share is.
    """
    if inventory is None:
        return figures.blank(
            colors=figures.palette(charts.theme()), message="The run has no inventory of the model"
        )
    block = str(url_state.value("block"))
    node_of = nodes_of(inventory, block)
    members = groups[focus].layers if focus in groups else (focus,)
    return figures.network_map(
        network_nodes(inventory, groups, values, block=block),
        network_edges(inventory, block=block),
        lit={node_of[name] for name in members if name in node_of},
        label=label,
        theme=charts.theme(),
    )


def draw(
    inventory: Inventory,
    groups: Mapping[str, GroupSize],
    values: Mapping[str, float],
    *,
    focus: str,
    label: str,
    key: str,
) -> None:
    """Draw the map with its explanation."""

    def picked(chosen: Sequence[Any]) -> None:
        name = str(chosen[0])
        url_state.put("layer" if name in groups else "block", name)

    charts.show(
        figure(inventory, groups, values, focus=focus, label=label),
        key=key,
        on_pick=picked,
        file_name="network",
    )
    with st.container(horizontal=True, vertical_alignment="top"):
        st.caption(EXPLANATION, width="stretch")
        if url_state.value("block"):
            st.button(
                "All blocks",
                icon=":material/unfold_less:",
                on_click=url_state.put,
                args=("block", ""),
                key=f"{key}_fold",
            )
