"""Charts of a training: its losses, and its score beside what it set out from."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from analysis.figures.drawing import (
    Palette,
    Reach,
    blank,
    canvas,
    fade,
    label_ends,
    palette,
    with_alt,
)
from analysis.sentences import plural

# Column of a history -> what it is called, and its dash.
LOSSES = {"task_loss": ("task", "solid"), "distill_loss": ("distillation", "dot")}
# A history is thinned to about so many steps a curve before it is drawn.
MAX_STEPS = 600
# In pixels; room above and below what is drawn, as a share of it.
HEIGHT = 420
MARGIN = 0.06
NOTHING = "Nothing was trained yet"


def training_loss(history: pd.DataFrame, *, theme: str = "light") -> go.Figure:
    """Draw the losses of a training over its epochs, the parts of it apart.

    Args:
        history: ``seed, epoch, task_loss, distill_loss`` (NaN without labels, and where nothing is
            distilled).
        theme: ``light`` or ``dark``.
    """
    colors = palette(theme)
    rows = history.dropna(subset=list(LOSSES), how="all")
    if rows.empty:
        return blank(colors=colors, message=NOTHING)
    figure = canvas(colors=colors, x_title="epochs", y_title="loss")
    seeds = list(dict.fromkeys(rows["seed"]))
    for column, (name, dash) in LOSSES.items():
        for place, seed in enumerate(seeds):
            part = rows[rows["seed"] == seed].dropna(subset=[column])
            if part.empty:
                continue
            figure.add_trace(
                _curve(part, column, _named(name, seed, len(seeds)), _color(colors, place), dash)
            )
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(rangemode="tozero")
    last = rows.iloc[-1]
    ends = [
        f"the last {name} loss is {last[column]:.3f}"
        for column, (name, _) in LOSSES.items()
        if pd.notna(last[column])
    ]
    return with_alt(
        figure,
        f"Training loss of {plural(len(seeds), 'seed')} over {last['epoch']:.2f} epochs; "
        f"{' and '.join(ends)}.",
    )


def training_score(
    history: pd.DataFrame,
    *,
    label: str = "accuracy (%)",
    scale: float = 100.0,
    lines: Mapping[str, float] | None = None,
    tolerated: float | None = None,
    theme: str = "light",
) -> go.Figure:
    """Draw the score on the selection samples over the epochs, with its interval.

    Args:
        history: ``seed, epoch, selection, low, high``; NaN between evaluations.
        label: Title of the score's axis.
        scale: What a score is multiplied by.
        lines: What is drawn across: name -> score, as of the dense and the pruned model.
        tolerated: Least score that is accepted.
        theme: ``light`` or ``dark``.
    """
    colors = palette(theme)
    rows = history.dropna(subset=["selection"])
    if rows.empty and not lines:
        return blank(colors=colors, message=NOTHING)
    figure = canvas(colors=colors, x_title="epochs", y_title=label, height=HEIGHT)
    seeds = list(dict.fromkeys(rows["seed"]))
    for place, seed in enumerate(seeds):
        part = rows[rows["seed"] == seed]
        color = _color(colors, place)
        figure.add_trace(_band(part, scale, color))
        name = _named("training", seed, len(seeds))
        figure.add_trace(_curve(part, "selection", name, color, "solid", scale=scale, marks=True))
    figure.update_xaxes(rangemode="tozero")
    _draw_lines(figure, rows, lines or {}, scale, colors, tolerated=tolerated)
    if rows.empty:
        # A chart needs a point of its own to have axes.
        figure.add_trace(go.Scatter(x=[0.0], y=[0.0], visible=False))
        return with_alt(figure, "No score was measured yet.")
    last = rows.iloc[-1]
    return with_alt(
        figure,
        f"Score on the selection samples of {plural(len(seeds), 'seed')}; after "
        f"{last['epoch']:.2f} epochs it is {last['selection'] * scale:.2f}.",
    )


def _draw_lines(
    figure: go.Figure,
    rows: pd.DataFrame,
    lines: Mapping[str, float],
    scale: float,
    colors: Palette,
    *,
    tolerated: float | None,
) -> None:
    """Draw named scores across; those far worse are told in words."""
    far = _far_below(rows, lines)
    ends = []
    for name, score in lines.items():
        if name not in far:
            look = {"color": colors.muted, "dash": "dash", "width": 1.2}
            figure.add_hline(y=score * scale, line=look)
            ends.append((name, score * scale, colors.text))
    if tolerated is not None:
        look = {"color": colors.tolerance, "dash": "dot", "width": 1.4}
        figure.add_hline(y=tolerated * scale, line=look)
        ends.append(("tolerance", tolerated * scale, colors.tolerance))
    heights = [y for _, y, _ in ends]
    heights += [end * scale for column in ("low", "high") for end in rows[column].dropna()]
    if ends:
        low, high = min(heights), max(heights)
        room = MARGIN * max(high - low, 1e-9)
        reach = Reach(low - room, high + room)
        figure.update_yaxes(range=[reach.low, reach.high])
        label_ends(figure, ends, reach=reach, height=HEIGHT)
    if far:
        # What people count the other way is worse above.
        where, y, anchor = ("below", 0, "bottom") if scale > 0 else ("above", 1, "top")
        figure.add_annotation(
            text=f"{where}: "
            + ", ".join(f"{name} {score * scale:.2f}" for name, score in far.items()),
            showarrow=False,
            x=0,
            y=y,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor=anchor,
            font={"color": colors.text, "size": 12},
        )


def _far_below(rows: pd.DataFrame, lines: Mapping[str, float]) -> dict[str, float]:
    """Return the lines that would press a curve flat: its whole height, and more, below it."""
    if rows.empty:
        return {}
    least, most = float(rows["low"].min()), float(max([rows["high"].max(), *lines.values()]))
    return {name: score for name, score in lines.items() if score < least - (most - least)}


def _curve(
    rows: pd.DataFrame,
    column: str,
    name: str,
    color: str,
    dash: str,
    *,
    scale: float = 1.0,
    marks: bool = False,
) -> go.Scatter:
    rows = rows.iloc[:: max(1, len(rows) // MAX_STEPS)]
    return go.Scatter(
        x=rows["epoch"],
        y=rows[column] * scale,
        mode="lines+markers" if marks or len(rows) == 1 else "lines",
        name=name,
        line={"color": color, "dash": dash, "width": 2},
        marker={"size": 7},
        hovertemplate=f"<b>{name}</b><br>" + "%{x:.2f} epochs: %{y:.3f}<extra></extra>",
    )


def _band(rows: pd.DataFrame, scale: float, color: str) -> go.Scatter:
    outline = [*rows["epoch"], *rows["epoch"][::-1]]
    return go.Scatter(
        x=outline,
        y=[*(rows["high"] * scale), *(rows["low"][::-1] * scale)],
        mode="lines",
        fill="toself",
        fillcolor=fade(color, alpha=0.15),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


def _named(name: str, seed: object, count: int) -> str:
    return name if count == 1 else f"{name}, seed {seed}"


def _color(colors: Palette, place: int) -> str:
    return colors.series[place % len(colors.series)]
