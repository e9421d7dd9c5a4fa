"""Charts of all layers: the ranking with ties, by layer and by block, and the network's map."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.curves import NOT_PRUNABLE, by_rank
from analysis.figures.drawing import (
    ROW_HEIGHT,
    TOP_MARGIN,
    Palette,
    blank,
    canvas,
    layer_axis,
    palette,
    percent,
    percent_axis,
    scale,
    with_alt,
)
from analysis.sentences import listed
from pruners.criteria import label_of

# Where arcs reach to: the longer, the farther, up to the edge of the map.
NEAR, FAR = 0.12, 0.9
ARC = np.linspace(0, math.pi, 17)
# Marks of the colour bar.
SHARES = (0.0, 0.5, 1.0)


def ranking(
    table: pd.DataFrame,
    *,
    criterion: str,
    theme: str = "light",
) -> go.Figure:
    """Draw what each layer tolerates with its interval and its rank range, rank 1 on top.

    Layers whose rank ranges overlap are tied, wherever they stand.

    Args:
        table: What `analysis.curves.tolerated` returned; rows that are not prunable are listed
            below with their reason, without a mark on the axis.
        criterion: Whose rows.
        theme: ``light`` or ``dark``.

    Returns:
        A figure; ``customdata`` is ``[layer, criterion, rank]``.
    """
    colors = palette(theme)
    rows = table[(table["criterion"] == criterion) & (table["status"] != NOT_PRUNABLE)]
    fixed = table[(table["status"] == NOT_PRUNABLE) & (table["criterion"].isin([criterion, ""]))]
    if rows.empty and fixed.empty:
        return blank(colors=colors, message="No measured points yet")
    rows = by_rank(rows)
    figure = canvas(colors=colors, height=TOP_MARGIN + 36 + ROW_HEIGHT * (len(rows) + len(fixed)))
    figure.add_trace(_tolerated_trace(rows, colors))
    figure.add_trace(_rank_labels(rows, colors))
    if len(fixed):
        _add_not_prunable(figure, fixed, colors)
    layer_axis(figure, [*rows["layer"], *fixed["layer"]])
    figure.update_xaxes(title_text="tolerated fraction removed", range=[-0.03, 1.03])
    # Room for the ranks, which stand in one column.
    figure.update_layout(margin_r=150 if bool(rows["open_end"].any()) else 90)
    percent_axis(figure)
    return with_alt(figure, _ranking_alt(rows, fixed, criterion))


def _tolerated_trace(rows: pd.DataFrame, colors: Palette) -> go.Scatter:
    return go.Scatter(
        x=rows["tolerated"],
        y=rows["layer"],
        mode="markers",
        name="tolerated, with interval and rank",
        error_x=interval_bars(rows) | {"color": colors.series[0], "thickness": 2, "width": 5},
        marker={
            "size": 10,
            "color": colors.series[0],
            "symbol": ["circle-open" if partial else "circle" for partial in rows["partial"]],
        },
        customdata=rows[["layer", "criterion", "rank"]].to_numpy(dtype=object),
        hovertext=[
            f"<b>{layer}</b><br>tolerates {percent(value, digits=1)}, rank {rank}"
            for layer, value, rank in zip(
                rows["layer"], rows["tolerated"], rows["rank"], strict=True
            )
        ],
        hoverinfo="text",
    )


def interval_bars(rows: pd.DataFrame) -> dict[str, object]:
    """Return the bars from the lower to the upper end of what each row tolerates."""
    return {
        "type": "data",
        "symmetric": False,
        "array": rows["high"] - rows["tolerated"],
        "arrayminus": rows["tolerated"] - rows["low"],
    }


def _rank_labels(rows: pd.DataFrame, colors: Palette) -> go.Scatter:
    return go.Scatter(
        x=[1.03] * len(rows),
        y=rows["layer"],
        mode="text",
        text=[
            _rank_text(rank, open_end, partial)
            for rank, open_end, partial in zip(
                rows["rank"], rows["open_end"], rows["partial"], strict=True
            )
        ],
        textposition="middle right",
        textfont={"size": 11, "color": colors.text},
        cliponaxis=False,
        showlegend=False,
        hoverinfo="skip",
    )


def _rank_text(rank: str, open_end: bool, partial: bool) -> str:
    notes = [note for note, holds in (("end of grid", open_end), ("partial", partial)) if holds]
    return f"  rank {rank}" + (f" ({', '.join(notes)})" if notes else "")


def _add_not_prunable(figure: go.Figure, fixed: pd.DataFrame, colors: Palette) -> None:
    figure.add_trace(
        go.Scatter(
            x=[0.0] * len(fixed),
            y=fixed["layer"],
            mode="text",
            name=NOT_PRUNABLE,
            text=[f"{NOT_PRUNABLE}: {reason}" for reason in fixed["reason"]],
            textposition="middle right",
            textfont={"size": 11, "color": colors.tolerance},
            customdata=[[layer, "", ""] for layer in fixed["layer"]],
            hovertext=fixed["reason"],
            hoverinfo="text",
            showlegend=False,
        )
    )


def block_ranking(folded: pd.DataFrame, *, criterion: str, theme: str = "light") -> go.Figure:
    """Draw what the groups of each block tolerate: the least, the median and the most of them.

    Args:
        folded: What `analysis.curves.fold_tolerated` returned.
        criterion: Whose rows.
        theme: ``light`` or ``dark``.

    Returns:
        A figure; ``customdata`` is ``[block, criterion, most fragile layer]``.
    """
    colors = palette(theme)
    rows = folded[(folded["criterion"] == criterion) & folded["median"].notna()]
    if rows.empty:
        return blank(colors=colors, message="No measured points yet")
    rows = rows.sort_values(["median", "least"], ascending=False, kind="stable")
    figure = canvas(colors=colors, height=TOP_MARGIN + 36 + ROW_HEIGHT * len(rows))
    figure.add_trace(
        go.Scatter(
            x=rows["median"],
            y=rows["layer"],
            mode="markers",
            name="median of the block's groups, from the least to the most tolerant",
            error_x={
                "type": "data",
                "symmetric": False,
                "array": rows["most"] - rows["median"],
                "arrayminus": rows["median"] - rows["least"],
                "color": colors.series[0],
                "thickness": 2,
                "width": 5,
            },
            marker={"size": 10, "color": colors.series[0]},
            customdata=rows[["layer", "criterion", "fragile"]].to_numpy(dtype=object),
            text=[
                f"tolerate {percent(least)} to {percent(most)}"
                for least, most in zip(rows["least"], rows["most"], strict=True)
            ],
            hovertemplate="<b>%{customdata[0]}</b><br>%{text}, least %{customdata[2]}"
            "<extra></extra>",
        )
    )
    notes = {
        str(name): f" ({count})" for name, count in zip(rows["layer"], rows["groups"], strict=True)
    }
    layer_axis(figure, list(rows["layer"]), notes=notes)
    figure.update_xaxes(title_text="tolerated fraction removed", range=[-0.03, 1.03])
    percent_axis(figure)
    first, last = rows.iloc[0], rows.iloc[-1]
    return with_alt(
        figure,
        f"What {int(rows['groups'].sum())} groups in {len(rows)} blocks tolerate by "
        f"{label_of(criterion)}: most in {first['layer']} (median {percent(first['median'])}), "
        f"least in {last['layer']} (median {percent(last['median'])}).",
    )


def _ranking_alt(rows: pd.DataFrame, fixed: pd.DataFrame, criterion: str) -> str:
    text = f"What {len(rows)} layers tolerate by {label_of(criterion)}."
    if len(rows):
        top = rows[rows["rank_low"] == 1]["layer"]
        bottom = rows[rows["rank_high"] == len(rows)]["layer"]
        if len(top) == len(rows):
            text += " All of them are tied: their intervals overlap."
        else:
            text += f" Most tolerant or tied: {listed(top)}; least or tied: {listed(bottom)}."
    return text + (f" {len(fixed)} cannot be pruned." if len(fixed) else "")


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
    figure.update_xaxes(visible=False, range=[-0.06, 1.0], fixedrange=True)
    figure.update_yaxes(
        tickvals=list(range(len(nodes))),
        ticktext=[_name(row, row["node"] in lit) for row in nodes.to_dict("records")],
        range=[len(nodes) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
        automargin=True,
    )
    return with_alt(figure, _map_alt(nodes, edges, label))


def _name(row: dict[object, object], is_lit: bool) -> str:
    """Return what stands beside a node: one text, so that no width lets two cover each other."""
    count = f" ({row['count']} layers)" if row["count"] != 1 else ""
    name, value = f"{row['node']}{count}", float(str(row["value"]))
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
        "tickvals": SHARES,
        "ticktext": [percent(share) for share in SHARES],
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
