"""Size and table of the model's layers."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from analysis import curves, figures
from analysis.evaluation import LoadedSubject
from pages.components.widgets import charts, formatting


def draw(subject: LoadedSubject) -> None:
    """Draw size and table of the model's layers."""
    found = subject.prepared.inventory
    with st.grid(4, min_column_width=150):
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
    rows, notes = _folded(table)
    charts.show(
        figures.size_bars(rows, value=value or "params", notes=notes, theme=charts.theme()),
        key="setup_bars",
    )
    if notes:
        st.caption(
            f"{formatting.plural(len(table), 'layer')}, folded by block; behind each name its "
            "number of layers. The table below has all of them."
        )
    # Columns that stay in sight are as wide as the first rows ask for: long names were cut.
    wide = min(CHARACTER * int(table["layer"].str.len().max()) + 18, WIDEST)
    layer = st.column_config.TextColumn("Layer", pinned=True, width=wide)
    columns = COLUMNS | {"layer": layer}
    st.dataframe(_shown(table), hide_index=True, key="setup_map", column_config=columns)


# Of a letter, and of a column of names that leaves room beside it on a phone, in pixels.
CHARACTER, WIDEST = 7, 180
SIZES = {"params": "Parameters", "macs": "MACs"}
COLUMNS: dict[str, Any] = {
    "layer": "Layer",
    "params": st.column_config.NumberColumn("Parameters", format="localized"),
    "macs": st.column_config.NumberColumn("MACs", format="localized"),
    "prunable": st.column_config.CheckboxColumn("Prunable"),
    "type": "Type",
    "output_shape": "Output shape",
    "group": "Group",
    "reason": "Why not",
    "kept_in_part": "Stays in part",
}


def _folded(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the sizes by block where the layers are many, and how many each block has."""
    blocks = curves.blocks_of(list(table["layer"]))
    if all(name == block for name, block in blocks.items()):
        return table, {}
    by_block = table.assign(layer=table["layer"].map(blocks)).groupby("layer", sort=False)
    counts = {str(name): f" ({count})" for name, count in by_block.size().items()}
    return by_block[["params", "macs"]].sum().reset_index(), counts


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    shapes = table["output_shape"].map(lambda shape: " x ".join(str(size) for size in shape))
    # In the order of the headings: what a phone shows without scrolling stands first.
    return table.assign(output_shape=shapes)[list(COLUMNS)]
