"""The network as a map: execution order from top to bottom, what skips layers as arcs."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.layout import ROW_HEIGHT, blank, canvas, percent, with_alt
from analysis.figures.palettes import Palette, palette, scale

# Where arcs reach to: the longer, the farther, up to the edge of the map.
NEAR, FAR = 0.12, 0.9
ARC = np.linspace(0, math.pi, 17)


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
    figure.update_xaxes(visible=False, range=[-0.16, 1.0], fixedrange=True)
    figure.update_yaxes(
        tickvals=list(range(len(nodes))),
        ticktext=[_name(row, row["node"] in lit) for row in nodes.to_dict("records")],
        range=[len(nodes) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
        automargin=True,
    )
    return with_alt(figure, _alt(nodes, edges, label))


def _name(row: dict[object, object], is_lit: bool) -> str:
    count = f" ({row['count']} layers)" if row["count"] != 1 else ""
    return f"<b>{row['node']}{count}</b>" if is_lit else f"{row['node']}{count}"


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
    width = NEAR + (FAR - NEAR) * (span - 2) / max(count - 3, 1)
    middle, half = (source + target) / 2, (target - source) / 2
    return (width * np.sin(ARC)).tolist(), (middle - half * np.cos(ARC)).tolist()


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
    )


def _nodes(nodes: pd.DataFrame, label: str, colors: Palette) -> list[go.Scatter]:
    """Return the nodes with a share, coloured by it, and the others, hollow."""
    known = nodes["value"].notna()
    bar = {
        "title": {"text": label, "side": "top"},
        "tickformat": ".0%",
        "orientation": "h",
        "thickness": 8,
        "len": 0.5,
        "x": 1,
        "xanchor": "right",
        "y": 1,
        "yanchor": "bottom",
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
            mode="markers+text",
            text=[f"{percent(x, digits=1)}\u2002" if x == x else "" for x in rows["value"]],
            textposition="middle left",
            textfont={"size": 11, "color": colors.text},
            customdata=[[curve or None] for curve in rows["curve"]],
            hovertext=[_hover(row, label) for row in rows.to_dict("records")],
            hoverinfo="text",
            marker={"size": 18, "symbol": "square"} | look,
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1}, "textfont": {"color": colors.text}},
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


def _alt(nodes: pd.DataFrame, edges: Sequence[tuple[int, int]], label: str) -> str:
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
