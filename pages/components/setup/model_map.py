"""Size and table of the model's layers."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from analysis import figures
from analysis.evaluation import LoadedSubject
from pages.components.widgets import charts, formatting


def draw(subject: LoadedSubject) -> None:
    """Draw size and table of the model's layers."""
    found = subject.inventory
    with st.container(horizontal=True):
        st.metric(
            "Parameters",
            formatting.si(found.params),
            help=formatting.thousands(found.params),
            border=True,
        )
        st.metric(
            "MACs per sample",
            formatting.si(found.macs),
            help=formatting.thousands(found.macs),
            border=True,
        )
        st.metric("Layers", str(len(found.layers)), border=True)
        st.metric(
            "Prunable groups",
            str(sum(group.prunable for group in found.groups)),
            help="Channels of several layers that can only be removed together count as one.",
            border=True,
        )
    table = pd.DataFrame([layer.to_dict() for layer in found.layers]).rename(
        columns={"name": "layer"}
    )
    st.subheader("Model map", anchor=False)
    value = st.segmented_control(
        "Size in",
        ["params", "macs"],
        default="params",
        required=True,
        format_func=lambda name: SIZES[name],
        key="setup_size",
    )
    charts.show(
        figures.size_bars(table, value=value or "params", theme=charts.theme()), key="setup_bars"
    )
    st.dataframe(_shown(table), hide_index=True, key="setup_map", column_config=COLUMNS)


SIZES = {"params": "Parameters", "macs": "MACs"}
COLUMNS: dict[str, Any] = {
    "layer": st.column_config.TextColumn("Layer", pinned=True, width="medium"),
    "type": "Type",
    "params": st.column_config.NumberColumn("Parameters", format="localized"),
    "macs": st.column_config.NumberColumn("MACs", format="localized"),
    "output_shape": "Output shape",
    "group": "Group",
    "prunable": st.column_config.CheckboxColumn("Prunable"),
    "reason": "Why not",
}


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    shapes = table["output_shape"].map(lambda shape: " x ".join(str(size) for size in shape))
    return table.assign(output_shape=shapes)
