"""Charts of several evaluated plans: predicted against measured, accuracy against size."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.figures.drawing import (
    CHARACTER,
    LINE,
    LONGEST_NAME,
    Box,
    Palette,
    blank,
    canvas,
    palette,
    percent,
    percent_axis,
    shortened,
    with_alt,
    with_room,
)
from analysis.records import DEFAULT_TASK
from analysis.sentences import listed, plural
from analysis.tasks import Words, scoring_of

SIZES = {"macs": "MACs", "params": "parameters", "latency": "latency", "file": "file size"}
# Share of the axis that the name of a plan takes, left of its mark.
LABEL_ROOM = 0.3
# Where the name of a plan may stand, the best place first.
LEFT = ("middle left", "top left", "bottom left")
RIGHT = ("bottom right", "top right")
ABOVE = ("top center", "bottom center")
# Of a plot on half of a small screen, and half of a mark, in pixels.
PLOT_WIDTH, PLOT_HEIGHT, MARK = 400, 340, 6
SYMBOLS = {True: "diamond", False: "circle-open"}


def predicted_measured(
    plans: pd.DataFrame, *, task: str = DEFAULT_TASK, theme: str = "light"
) -> go.Figure:
    """Draw predicted against measured drops of evaluated plans; on the line, predictions hold.

    Args:
        plans: ``plan, predicted, predicted_low, predicted_high, measured, measured_low,
            measured_high`` (drops, fractions).
        task: Says how drops are written.
        theme: ``light`` or ``dark``.

    Returns:
        A figure; ``customdata`` is ``[plan]``.
    """
    colors, words = palette(theme), scoring_of(task).words
    scale, unit = words.drop_scale, words.drop_unit
    rows = plans.dropna(subset=["predicted", "measured"])
    if rows.empty:
        return blank(
            colors=colors, message="No measured plan is predicted by curves after its repair"
        )
    reach = float(rows[["predicted_high", "measured_high"]].max().max() * scale)
    least = min(0.0, float(rows[["predicted_low", "measured_low"]].min().min() * scale))
    figure = canvas(
        colors=colors,
        x_title=_with_unit(f"predicted {words.drop_noun}", unit),
        y_title=_with_unit(f"measured {words.drop_noun}", unit),
        legend=False,
    )
    figure.add_trace(_diagonal(least, reach, colors))
    figure.add_trace(
        go.Scatter(
            x=rows["predicted"] * scale,
            y=rows["measured"] * scale,
            mode="markers+text",
            **_names(
                list(rows["plan"]),
                [(x - least) / (reach - least or 1.0) for x in rows["predicted"] * scale],
                [(y - least) / (reach - least or 1.0) for y in rows["measured"] * scale],
                sides=[ABOVE] * len(rows),
            ),
            error_x=_error(rows, "predicted", scale, colors),
            error_y=_error(rows, "measured", scale, colors),
            marker={"size": 10, "color": colors.series[0], "symbol": "diamond"},
            customdata=rows[["plan"]].to_numpy(dtype=object),
            hovertemplate=f"<b>%{{customdata[0]}}</b><br>predicted %{{x:.{words.digits}f}} {unit}, "
            f"measured %{{y:.{words.digits}f}} {unit}<extra></extra>",
        )
    )
    gap = rows["measured"] - rows["predicted"]
    return with_alt(
        figure,
        f"Predicted and measured {words.drop_noun} of {len(rows)} plans; measured minus predicted "
        f"lies between {words.drop(gap.min())} and {words.cost(gap.max())}.",
    )


def _diagonal(least: float, reach: float, colors: Palette) -> go.Scatter:
    return go.Scatter(
        x=[least, reach],
        y=[least, reach],
        mode="lines",
        line={"color": colors.tolerance, "dash": "dash"},
        hoverinfo="skip",
    )


def _error(rows: pd.DataFrame, name: str, scale: float, colors: Palette) -> dict[str, object]:
    return _bars(rows[f"{name}_low"], rows[name], rows[f"{name}_high"], scale, colors)


def _with_unit(label: str, unit: str) -> str:
    return f"{label} ({unit})" if unit else label


def _bars(
    low: pd.Series[float],
    middle: pd.Series[float],
    high: pd.Series[float],
    scale: float,
    colors: Palette,
) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": (high - middle) * scale,
        "arrayminus": (middle - low) * scale,
        "color": colors.muted,
        "thickness": 1.2,
    }


def pareto(
    plans: pd.DataFrame,
    *,
    size: str = "macs",
    tolerance: float | None = None,
    task: str = DEFAULT_TASK,
    theme: str = "light",
) -> go.Figure:
    """Draw the drop against size of plans; those that no other beats are joined.

    Args:
        plans: ``plan, drop, drop_low, drop_high`` (fractions) and ``params, macs`` as fractions of
            the dense model.
        size: ``params`` or ``macs``.
        tolerance: Largest accepted drop, as a fraction; plans within it are the sweet spot.
        task: Says how drops are called and written.
        theme: ``light`` or ``dark``.
    """
    colors, words = palette(theme), scoring_of(task).words
    rows = plans.dropna(subset=["drop", size]).sort_values([size, "drop"], kind="stable")
    if rows.empty:
        return blank(colors=colors, message="No evaluated plans yet")
    front = rows[rows["drop"].cummin().eq(rows["drop"]) & ~rows["drop"].cummin().duplicated()]
    label = "parameters" if size == "params" else "MACs"
    figure = canvas(
        colors=colors,
        x_title=f"{label} left",
        y_title=_with_unit(words.drop_label, words.drop_unit),
        legend=False,
    )
    figure.add_trace(
        go.Scatter(
            x=front[size],
            y=front["drop"] * words.drop_scale,
            mode="lines",
            line={"color": colors.series[0], "shape": "hv", "dash": "dot"},
            hoverinfo="skip",
        )
    )
    figure.add_trace(
        _plan_marks(rows, set(front["plan"]), words, size=size, label=label, colors=colors)
    )
    if tolerance is not None:
        figure.add_hrect(
            y0=min(0.0, float(rows["drop_low"].min() * words.drop_scale)),
            y1=tolerance * words.drop_scale,
            fillcolor=colors.series[2],
            opacity=0.12,
            line_width=0,
            annotation_text="within tolerance",
            annotation_position="top left",
        )
    # A fraction of the dense model is no more than all of it.
    figure.update_xaxes(range=[0.0, 1.04])
    percent_axis(figure)
    return with_alt(
        figure,
        f"{len(rows)} plans by {label} and {words.drop_label}; no other plan beats "
        f"{listed(front['plan'])}.",
    )


def _plan_marks(
    rows: pd.DataFrame, best: set[str], words: Words, *, size: str, label: str, colors: Palette
) -> go.Scatter:
    least, most = float(rows["drop_low"].min()), float(rows["drop_high"].max())
    return go.Scatter(
        x=rows[size],
        y=rows["drop"] * words.drop_scale,
        mode="markers+text",
        **_names(
            list(rows["plan"]),
            list(rows[size]),
            [(drop - least) / ((most - least) or 1.0) for drop in rows["drop"]],
            # The joining line comes from above and leaves to the right; intervals stand up.
            sides=[LEFT if x > LABEL_ROOM else RIGHT for x in rows[size]],
            first=best,
        ),
        error_y=_error(rows, "drop", words.drop_scale, colors),
        marker={
            "size": 11,
            "color": colors.series[0],
            "symbol": ["diamond" if name in best else "diamond-open" for name in rows["plan"]],
        },
        customdata=rows[["plan"]].to_numpy(dtype=object),
        hovertext=_lefts(rows, size),
        hovertemplate=f"<b>%{{customdata[0]}}</b><br>%{{hovertext}} {label} left, "
        f"{words.drop_noun} %{{y:.{words.digits}f}} {words.drop_unit}<extra></extra>",
    )


def _names(
    names: Sequence[str],
    x: Sequence[float],
    y: Sequence[float],
    *,
    sides: Sequence[Sequence[str]],
    first: Collection[str] = (),
) -> dict[str, list[str]]:
    """Return texts and positions of the names of plans that find room beside their marks.

    Args:
        names: Of each plan.
        x: Shares of the plot, from the left.
        y: From its lower edge.
        sides: Where each name may stand, the best one first.
        first: Plans that get their room first.
    """
    short = [shortened(name, LONGEST_NAME) for name in names]
    marks = [(across * PLOT_WIDTH, up * PLOT_HEIGHT) for across, up in zip(x, y, strict=True)]
    order = sorted(range(len(names)), key=lambda place: names[place] not in first)
    wanted = [
        [(side, _box(short[item], marks[item], side)) for side in sides[item]] for item in order
    ]
    taken = [(left - MARK, low - MARK, left + MARK, low + MARK) for left, low in marks]
    text, position = [""] * len(names), [side[0] for side in sides]
    for item, side in zip(order, with_room(wanted, taken=taken), strict=True):
        if side is not None:
            text[item], position[item] = short[item], side
    return {"text": text, "textposition": position}


def _box(name: str, mark: tuple[float, float], side: str) -> Box:
    """Return what a name takes beside its mark, in pixels."""
    up, across = side.split()
    wide, (x, y) = CHARACTER * len(name), mark
    left = x + {"left": -wide - MARK, "center": -wide / 2, "right": MARK}[across]
    low = y + {"top": LINE / 2, "middle": -LINE / 2, "bottom": -LINE * 3 / 2}[up]
    return (left, low, left + wide, low + LINE)


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
    for _, part in rows.groupby("way", sort=False):
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
    """Draw score against size; those that no smaller plan beats are joined, of each way to recover.

    Args:
        table: ``plan, name, recovery, searched, macs, params, latency`` and, where it is the size,
            ``file`` (fractions of the dense model), ``score, low, high``, and ``way``, which
            recoveries of one colour share. A plan may come twice, in float32 first.
        size: ``macs``, ``params``, ``latency`` or ``file``.
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
    for place, way in enumerate(sorted(set(rows["way"]))):
        color = colors.series[place % len(colors.series)]
        line = best[best["way"] == way]
        figure.add_trace(_line(line, size, scale, color))
        part = rows[rows["way"] == way]
        figure.add_trace(_marks(part, size, scale, color, colors, way))
    if dense is not None:
        figure.add_trace(_dense(dense * scale, colors))
    chosen = rows[rows["plan"] == present].head(1)
    if len(chosen):
        figure.add_trace(_ring(chosen, size, scale, colors))
    figure.update_xaxes(range=[0.0, 1.05])
    percent_axis(figure)
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
    rows: pd.DataFrame, size: str, scale: float, color: str, colors: Palette, name: str
) -> go.Scatter:
    return go.Scatter(
        x=rows[size],
        y=rows["score"] * scale,
        mode="markers",
        name=name,
        error_y=_bars(rows["low"], rows["score"], rows["high"], scale, colors),
        marker={
            "size": 11,
            "color": color,
            "symbol": [SYMBOLS[bool(item)] for item in rows["searched"]],
        },
        customdata=rows[["plan", "name", "recovery"]].to_numpy(dtype=object),
        hovertext=_lefts(rows, size),
        hovertemplate="<b>%{customdata[1]}</b><br>%{hovertext} " + SIZES[size] + " left, %{y:.2f}"
        "<br>%{customdata[2]}<extra></extra>",
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
        f"{percent(top[size], digits=1)} with {top['score'] * scale:.2f}."
    )


def _lefts(rows: pd.DataFrame, size: str) -> list[str]:
    return [percent(value, digits=1) for value in rows[size]]
