"""Charts of all layers at once: the ranking with ties, and where the gain is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.curves import NOT_PRUNABLE
from analysis.figures.layout import ROW_HEIGHT, blank, canvas, layer_axis, with_alt
from analysis.figures.palettes import DASHES, Palette, fade, palette
from analysis.sentences import listed

# Bubbles with a name, and the room of a name as a share of the axes.
NAMED = 6
NAME_WIDTH, NAME_HEIGHT = 0.2, 0.08
QUADRANTS = (
    # (x, y, text) in shares of the plot.
    (0.98, 1.0, "free wins"),
    (0.02, 1.0, "careful: large but sensitive"),
    (0.98, 0.01, "small gain"),
    (0.02, 0.01, "leave alone"),
)


def ranking(
    table: pd.DataFrame,
    *,
    criterion: str,
    theme: str = "light",
    most_fragile_first: bool = True,
) -> go.Figure:
    """Draw what each layer tolerates with its interval and its rank range.

    Args:
        table: What `analysis.curves.tolerated` returned; rows that are not prunable are listed
            with their own marker at the edge, never as robust.
        criterion: Whose rows.
        theme: ``light`` or ``dark``.
        most_fragile_first: Order of the rows; layers whose rank ranges overlap are tied, wherever
            they stand.

    Returns:
        A figure; ``customdata`` is ``[layer, criterion, rank]``.
    """
    colors = palette(theme)
    rows = table[(table["criterion"] == criterion) & (table["status"] != NOT_PRUNABLE)]
    fixed = table[(table["status"] == NOT_PRUNABLE) & (table["criterion"].isin([criterion, ""]))]
    if rows.empty and fixed.empty:
        return blank(colors=colors, message="No measured points yet")
    rows = rows.sort_values("tolerated", ascending=most_fragile_first, kind="stable")
    figure = canvas(
        colors=colors,
        x_title="tolerated fraction removed",
        height=110 + ROW_HEIGHT * (len(rows) + len(fixed)),
    )
    figure.add_trace(_tolerated_trace(rows, colors))
    figure.add_trace(_rank_labels(rows, colors))
    if len(fixed):
        _add_not_prunable(figure, fixed, colors)
    layer_axis(figure, [*rows["layer"], *fixed["layer"]])
    figure.update_xaxes(tickformat=".0%", range=[-0.03, 1.18])
    return with_alt(figure, _ranking_alt(rows, fixed, criterion))


def _tolerated_trace(rows: pd.DataFrame, colors: Palette) -> go.Scatter:
    return go.Scatter(
        x=rows["tolerated"],
        y=rows["layer"],
        mode="markers",
        name="tolerated, with interval and rank",
        error_x=_interval(rows) | {"color": colors.series[0], "thickness": 2, "width": 5},
        marker={
            "size": 10,
            "color": colors.series[0],
            "symbol": ["circle-open" if partial else "circle" for partial in rows["partial"]],
        },
        customdata=rows[["layer", "criterion", "rank"]].to_numpy(dtype=object),
        hovertemplate="<b>%{customdata[0]}</b><br>tolerates %{x:.1%}, rank %{customdata[2]}"
        "<extra></extra>",
    )


def _interval(rows: pd.DataFrame) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": rows["high"] - rows["tolerated"],
        "arrayminus": rows["tolerated"] - rows["low"],
    }


def _rank_labels(rows: pd.DataFrame, colors: Palette) -> go.Scatter:
    return go.Scatter(
        x=rows["high"],
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
        showlegend=False,
        hoverinfo="skip",
    )


def _rank_text(rank: str, open_end: bool, partial: bool) -> str:
    notes = [note for note, holds in (("end of grid", open_end), ("partial", partial)) if holds]
    return f"   {rank}" + (f" ({', '.join(notes)})" if notes else "")


def _add_not_prunable(figure: go.Figure, fixed: pd.DataFrame, colors: Palette) -> None:
    figure.add_trace(
        go.Scatter(
            x=[0.0] * len(fixed),
            y=fixed["layer"],
            mode="markers+text",
            name=NOT_PRUNABLE,
            text=[f"   {NOT_PRUNABLE}"] * len(fixed),
            textposition="middle right",
            textfont={"size": 11, "color": colors.text},
            marker={"size": 10, "symbol": "x-thin-open", "color": colors.muted},
            customdata=[[layer, "", ""] for layer in fixed["layer"]],
            hovertext=fixed["reason"],
            hoverinfo="text",
        )
    )


def _ranking_alt(rows: pd.DataFrame, fixed: pd.DataFrame, criterion: str) -> str:
    text = f"What {len(rows)} layers tolerate by {criterion}."
    if len(rows):
        top = rows[rows["rank_low"] == 1]["layer"]
        bottom = rows[rows["rank_high"] == len(rows)]["layer"]
        if len(top) == len(rows):
            text += " All of them are tied: their intervals overlap."
        else:
            text += f" Most tolerant or tied: {listed(top)}; least or tied: {listed(bottom)}."
    return text + (f" {len(fixed)} cannot be pruned." if len(fixed) else "")


def opportunity(
    table: pd.DataFrame,
    *,
    criterion: str,
    shares: Mapping[str, float],
    sizes: Mapping[str, int] | None = None,
    share_label: str = "share of parameters",
    theme: str = "light",
) -> go.Figure:
    """Draw tolerated ratio against size: top right are free wins, bottom left is best left alone.

    Args:
        table: What `analysis.curves.tolerated` returned.
        criterion: Whose rows.
        shares: Share of the model's parameters (or MACs) by layer, 0..1.
        sizes: MACs by layer, for the bubbles' areas; None draws them alike.
        share_label: What the y axis says.
        theme: ``light`` or ``dark``.
    """
    colors = palette(theme)
    rows = table[
        (table["criterion"] == criterion)
        & (table["status"] != NOT_PRUNABLE)
        & table["layer"].isin(list(shares))
    ]
    if rows.empty:
        return blank(colors=colors, message="No measured points yet")
    share = rows["layer"].map(dict(shares)).astype(float)
    area = rows["layer"].map(dict(sizes or {})).fillna(0.0).astype(float)
    biggest = float(area.max()) or 1.0
    wide = float(share.median())
    figure = canvas(
        colors=colors, x_title="tolerated fraction removed", y_title=share_label, legend=False
    )
    figure.add_vline(x=0.5, line={"color": colors.grid, "dash": DASHES[2]})
    figure.add_hline(y=wide, line={"color": colors.grid, "dash": DASHES[2]})
    for x, y, text in QUADRANTS:
        figure.add_annotation(
            x=x,
            y=y,
            xref="x domain",
            yref="y domain",
            yanchor="bottom",
            text=text,
            showarrow=False,
            xanchor="left" if x < 0.5 else "right",
            font={"color": colors.tolerance, "size": 12},
        )
    figure.add_trace(_bubbles(rows, share, 10 + 28 * np.sqrt(area / biggest), share_label, colors))
    figure.update_xaxes(tickformat=".0%", range=[-0.05, 1.05])
    figure.update_yaxes(tickformat=".0%", range=[0, 1.2 * float(share.max())])
    wins = rows[(rows["low"] >= 0.5) & (share >= wide)]["layer"]
    return with_alt(
        figure,
        f"Tolerated ratio against {share_label} of {len(rows)} layers by {criterion}. "
        + (f"Free wins: {listed(wins)}." if len(wins) else "No layer is surely a free win."),
    )


def _named(x: Sequence[float], y: Sequence[float]) -> list[int]:
    """Return the places of bubbles with a name: most to gain first, none over another's name."""
    height = NAME_HEIGHT * max(y)
    named: list[int] = []
    for place in sorted(range(len(x)), key=lambda place: -x[place] * y[place]):
        clear = all(
            abs(x[place] - x[other]) > NAME_WIDTH or abs(y[place] - y[other]) > height
            for other in named
        )
        if clear and len(named) < NAMED:
            named.append(place)
    return named


def _bubbles(
    rows: pd.DataFrame, share: pd.Series, sizes: np.ndarray, label: str, colors: Palette
) -> go.Scatter:
    named = _named(rows["tolerated"].tolist(), share.tolist())
    return go.Scatter(
        x=rows["tolerated"],
        y=share,
        mode="markers+text",
        text=[name if place in named else "" for place, name in enumerate(rows["layer"])],
        textposition="top center",
        textfont={"size": 11, "color": colors.text},
        cliponaxis=False,
        error_x=_interval(rows)
        | {"color": fade(colors.series[0], alpha=0.5), "thickness": 1, "width": 0},
        marker={
            "size": sizes,
            "color": fade(colors.series[0], alpha=0.65),
            "line": {"color": colors.text, "width": 1},
        },
        customdata=rows[["layer", "criterion", "rank"]].to_numpy(dtype=object),
        hovertemplate="<b>%{customdata[0]}</b><br>tolerates %{x:.1%}, "
        f"{label} %{{y:.1%}}, rank %{{customdata[2]}}<extra></extra>",
    )
