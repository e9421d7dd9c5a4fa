"""The map of a network: its layers or blocks from the input to the output, and what skips them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.drawing import (
    LONGEST_LABEL,
    ROW_HEIGHT,
    Palette,
    blank,
    canvas,
    palette,
    percent,
    scale,
    shortened,
    with_alt,
)

# Where arcs reach to: the longer, the farther, up to the edge of the map.
NEAR, FAR = 0.12, 0.9
ARC = np.linspace(0, math.pi, 17)
# Marks of the colour bar.
SHARES = (0.0, 0.5, 1.0)


def network_map(
    nodes: pd.DataFrame,
    edges: Sequence[tuple[int, int]],
    *,
    lit: Collection[str] = (),
    label: str = "tolerated",
    theme: str = "light",
) -> go.Figure:
    """Draw a network's layers or blocks, coloured by a share, with the edges between them.

    Args:
        nodes: What `analysis.curves.network_nodes` returned.
        edges: What `analysis.curves.network_edges` returned.
        lit: Nodes that light up: those of the group in focus.
        label: What the share is.
        theme: ``light`` or ``dark``.

    Returns:
        A figure; ``customdata`` is ``[curve]``, the group or block of the node.
    """
    colors = palette(theme)
    if nodes.empty:
        return blank(colors=colors, message="The model has no layers")
    figure = canvas(colors=colors, height=76 + ROW_HEIGHT * len(nodes), legend=False)
    for line in _edges(edges, len(nodes), colors):
        figure.add_trace(line)
    figure.add_trace(_rings(nodes, lit, colors))
    for marks in _nodes(nodes, label, colors):
        figure.add_trace(marks)
    # The longest arc goes to the edge, so that narrow windows have room for the short ones.
    spans = [abs(target - source) for source, target in edges]
    reach = max(0.3, _reach(max(spans, default=1), len(nodes)))
    figure.update_xaxes(visible=False, range=[-0.02, 1.05 * reach], fixedrange=True)
    # Room for the last mark of the colour bar.
    figure.update_layout(margin_r=24)
    figure.update_yaxes(
        tickvals=list(range(len(nodes))),
        ticktext=[_name(row, row["node"] in lit) for row in nodes.to_dict("records")],
        range=[len(nodes) - 0.4, -0.6],
        ticklabelstandoff=14,
        tickfont_size=11,
        showgrid=False,
        showline=False,
        zeroline=False,
        fixedrange=True,
        automargin=True,
    )
    return with_alt(figure, _map_alt(nodes, edges, label))


def _name(row: dict[object, object], is_lit: bool) -> str:
    """Return what stands beside a node: one text, so that no width lets two cover each other."""
    count = f" ({row['count']} layers)" if row["count"] != 1 else ""
    value = float(str(row["value"]))
    name = shortened(str(row["node"]), LONGEST_LABEL) + count
    share = "" if math.isnan(value) else f"\N{EM SPACE}{percent(value, digits=1)}"
    return (f"<b>{name}</b>" if is_lit else name) + share


def arc(source: int, target: int, count: int) -> tuple[list[float], list[float]]:
    """Return the points of an edge: straight to the next node, else an arc that spans it.

    Args:
        source: Place of the upper node.
        target: Place of the lower one.
        count: Nodes of the map.
    """
    span = abs(target - source)
    if span == 1:
        return [0.0, 0.0], [float(source), float(target)]
    width = _reach(span, count)
    middle, half = (source + target) / 2, (target - source) / 2
    return (width * np.sin(ARC)).tolist(), (middle - half * np.cos(ARC)).tolist()


def _reach(span: int, count: int) -> float:
    """Return how far to the right an arc goes that spans so many nodes."""
    return NEAR + (FAR - NEAR) * (span - 2) / max(count - 3, 1)


def _edges(edges: Sequence[tuple[int, int]], count: int, colors: Palette) -> list[go.Scatter]:
    """Return one line for all straight edges and one for all arcs."""
    lines = []
    for is_arc in (False, True):
        x: list[float | None] = []
        y: list[float | None] = []
        for source, target in edges:
            if (abs(target - source) > 1) == is_arc:
                across, down = arc(source, target, count)
                x += [*across, None]
                y += [*down, None]
        line = {"color": colors.muted, "width": 1 if is_arc else 2}
        lines.append(
            go.Scatter(
                x=x,
                y=y,
                mode="lines",
                line=line,
                opacity=0.55 if is_arc else 0.9,
                hoverinfo="skip",
            )
        )
    return lines


def _rings(nodes: pd.DataFrame, lit: Collection[str], colors: Palette) -> go.Scatter:
    places = [number for number, node in enumerate(nodes["node"]) if node in lit]
    return go.Scatter(
        x=[0.0] * len(places),
        y=places,
        mode="markers",
        marker={"size": 25, "color": colors.series[1], "symbol": "square"},
        hoverinfo="skip",
        cliponaxis=False,
    )


def _nodes(nodes: pd.DataFrame, label: str, colors: Palette) -> list[go.Scatter]:
    """Return the nodes with a share, coloured by it, and the others, hollow."""
    known = nodes["value"].notna()
    bar = {
        "title": {"text": label, "side": "top"},
        "tickvals": SHARES,
        "ticktext": [percent(share) for share in SHARES],
        "orientation": "h",
        "thickness": 8,
        "lenmode": "pixels",
        "len": 130,
        "x": 1,
        "xanchor": "right",
        "y": 1,
        "yanchor": "bottom",
        "xpad": 0,
    }
    looks: list[tuple[pd.DataFrame, dict[str, object]]] = [
        (
            nodes[known],
            {
                "color": nodes.loc[known, "value"],
                "colorscale": scale(colors.sequential),
                "cmin": 0,
                "cmax": 1,
                "colorbar": bar,
                "line": {"width": 1, "color": colors.muted},
            },
        ),
        (nodes[~known], {"color": colors.muted, "symbol": "square-open"}),
    ]
    return [
        go.Scatter(
            x=[0.0] * len(rows),
            y=rows.index,
            mode="markers",
            customdata=[[curve or None] for curve in rows["curve"]],
            hovertext=[_hover(row, label) for row in rows.to_dict("records")],
            hoverinfo="text",
            marker={"size": 18, "symbol": "square"} | look,
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1}},
            cliponaxis=False,
        )
        for rows, look in looks
    ]


def _hover(row: dict[object, object], label: str) -> str:
    value, least, most = (float(str(row[name])) for name in ("value", "least", "most"))
    if math.isnan(value):
        return f"<b>{row['node']}</b><br>not known, or not prunable"
    text = f"<b>{row['node']}</b><br>{label} {percent(value, digits=1)}"
    if least == most:
        return text
    return f"{text} in the mean, {percent(least, digits=1)} to {percent(most, digits=1)}"


def _map_alt(nodes: pd.DataFrame, edges: Sequence[tuple[int, int]], label: str) -> str:
    known = nodes.dropna(subset=["value"])
    text = f"Map of the network: {len(nodes)} nodes, {len(edges)} edges."
    if known.empty:
        return text
    order = known.sort_values("value", kind="stable")
    low, top = order.iloc[0], order.iloc[-1]
    return (
        f"{text} Most {label}: {top['node']}, {percent(top['value'], digits=1)}; "
        f"least: {low['node']}, {percent(low['value'], digits=1)}."
    )
