"""The trade-off: accuracy against size of measured plans."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from analysis.figures.layout import blank, canvas, with_alt
from analysis.figures.palettes import Palette, palette
from analysis.sentences import plural

SIZES = {"macs": "MACs", "params": "parameters", "latency": "latency"}
SYMBOLS = {True: "diamond", False: "circle-open"}


def best_plans(table: pd.DataFrame, size: str) -> pd.DataFrame:
    """Return the plans that no smaller one of the same kind beats, the smallest first.

    Args:
        table: As `trade_off`.
        size: Column of the size.
    """
    rows = table.dropna(subset=[size, "score"]).sort_values(
        [size, "score"], ascending=[True, False], kind="stable"
    )
    parts = []
    for _, part in rows.groupby("repair", sort=False):
        top = part["score"].cummax()
        parts.append(part[part["score"].eq(top) & ~top.duplicated()])
    return pd.concat(parts) if parts else rows


def trade_off(
    table: pd.DataFrame,
    *,
    size: str = "macs",
    label: str = "accuracy (%)",
    scale: float = 100.0,
    dense: float | None = None,
    present: str | None = None,
    theme: str = "light",
) -> go.Figure:
    """Draw score against size; of plans repaired alike, those that no smaller one beats are joined.

    Args:
        table: ``plan, name, repair, searched, macs, params, latency`` (fractions of the dense
            model), ``score, low, high``.
        size: ``macs``, ``params`` or ``latency``.
        label: Title of the score's axis.
        scale: What a score is multiplied by.
        dense: Score of the dense model.
        present: The plan that is marked.
        theme: ``light`` or ``dark``.

    Returns:
        A figure; ``customdata`` is ``[plan]``.
    """
    colors = palette(theme)
    rows = table.dropna(subset=[size, "score"])
    if rows.empty:
        return blank(colors=colors, message="No plan was measured yet")
    figure = canvas(colors=colors, x_title=f"{SIZES[size]} left", y_title=label)
    best = best_plans(rows, size)
    repairs = sorted(set(rows["repair"]))
    for place, repair in enumerate(repairs):
        color = colors.series[place % len(colors.series)]
        line = best[best["repair"] == repair]
        figure.add_trace(_line(line, size, scale, color))
        part = rows[rows["repair"] == repair]
        figure.add_trace(_marks(part, size, scale, color, colors, repair))
    if dense is not None:
        figure.add_trace(_dense(dense * scale, colors))
    chosen = rows[rows["plan"] == present]
    if len(chosen):
        figure.add_trace(_ring(chosen, size, scale, colors))
    figure.update_xaxes(tickformat=".0%", range=[0.0, 1.05])
    return with_alt(figure, _alt(rows, best, size, scale))


def _line(rows: pd.DataFrame, size: str, scale: float, color: str) -> go.Scatter:
    return go.Scatter(
        x=rows[size],
        y=rows["score"] * scale,
        mode="lines",
        line={"color": color, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )


def _marks(
    rows: pd.DataFrame, size: str, scale: float, color: str, colors: Palette, repair: str
) -> go.Scatter:
    name = "not repaired" if repair == "none" else f"repaired by {repair}"
    return go.Scatter(
        x=rows[size],
        y=rows["score"] * scale,
        mode="markers",
        name=name,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": (rows["high"] - rows["score"]) * scale,
            "arrayminus": (rows["score"] - rows["low"]) * scale,
            "color": colors.muted,
            "thickness": 1.2,
        },
        marker={
            "size": 11,
            "color": color,
            "symbol": [SYMBOLS[bool(item)] for item in rows["searched"]],
        },
        customdata=rows[["plan", "name"]].to_numpy(dtype=object),
        hovertemplate="<b>%{customdata[1]}</b><br>%{x:.1%} " + SIZES[size] + " left, %{y:.2f}"
        f"<br>{name}<extra></extra>",
    )


def _dense(score: float, colors: Palette) -> go.Scatter:
    return go.Scatter(
        x=[1.0],
        y=[score],
        mode="markers",
        name="dense",
        marker={"size": 13, "color": colors.text, "symbol": "star"},
        hovertemplate="<b>dense</b>, %{y:.2f}<extra></extra>",
    )


def _ring(rows: pd.DataFrame, size: str, scale: float, colors: Palette) -> go.Scatter:
    return go.Scatter(
        x=rows[size],
        y=rows["score"] * scale,
        mode="markers",
        name="chosen",
        marker={
            "size": 20,
            "color": "rgba(0,0,0,0)",
            "line": {"color": colors.text, "width": 2},
            "symbol": "circle",
        },
        hoverinfo="skip",
    )


def _alt(rows: pd.DataFrame, best: pd.DataFrame, size: str, scale: float) -> str:
    top = best.sort_values(size).iloc[0]
    return (
        f"{plural(len(rows), 'measured plan')} by {SIZES[size]} and score; "
        f"{plural(len(best), 'plan')} no smaller one beats; the smallest leaves "
        f"{top[size]:.1%} with {top['score'] * scale:.2f}."
    )
