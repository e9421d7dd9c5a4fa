"""Charts of all layers: the ranking with ties and by block."""

from __future__ import annotations

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
    with_alt,
)
from analysis.sentences import listed
from pruners.criteria import label_of


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
