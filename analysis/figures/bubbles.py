"""The chart of where the gain is: what a group tolerates against what it takes of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.curves import MAX_ROWS, NOT_PRUNABLE, GroupSize
from analysis.figures.drawing import (
    CHARACTER,
    DASHES,
    LINE,
    LONGEST_NAME,
    Box,
    Palette,
    blank,
    canvas,
    fade,
    palette,
    percent,
    percent_axis,
    shortened,
    with_alt,
    with_room,
)
from analysis.figures.layers import interval_bars
from analysis.sentences import listed
from pruners.criteria import label_of

# Of a plot beside the panel of the layer in focus, on a small screen, in pixels.
PLOT_WIDTH, PLOT_HEIGHT = 340, 380
X_RANGE = (-0.05, 1.05)
# Room below zero, as a share of the rest, so that no bubble is cut.
BELOW = 0.12
QUADRANTS = (
    # (x, y, anchor, text) in shares of the plot.
    (0.99, 0.99, "top", "free wins"),
    (0.01, 0.99, "top", "careful: large but sensitive"),
    (0.99, 0.005, "bottom", "small gain"),
    (0.01, 0.005, "bottom", "leave alone"),
)


def opportunity(
    table: pd.DataFrame,
    *,
    criterion: str,
    sizes: Mapping[str, GroupSize],
    theme: str = "light",
) -> go.Figure:
    """Draw tolerated ratio against size: top right are free wins, bottom left is best left alone.

    The area of a bubble is the share of the multiply-adds that removing the whole group saves.

    Args:
        table: What `analysis.curves.tolerated` returned.
        criterion: Whose rows.
        sizes: What `analysis.curves.group_sizes` returned.
        theme: ``light`` or ``dark``.
    """
    colors = palette(theme)
    rows = table[
        (table["criterion"] == criterion)
        & (table["status"] != NOT_PRUNABLE)
        & table["layer"].isin(list(sizes))
        & table["tolerated"].notna()
    ]
    if rows.empty:
        return blank(colors=colors, message="Nobody knows how large these layers are")
    share = pd.Series([sizes[name].params for name in rows["layer"]], index=rows.index)
    macs = pd.Series([sizes[name].macs for name in rows["layer"]], index=rows.index)
    diameters = 10 + 28 * (macs / (float(macs.max()) or 1.0)) ** 0.5
    wide, top = float(share.median()), 1.25 * max(float(share.max()), 1e-6)
    figure = canvas(
        colors=colors,
        x_title="tolerated fraction removed",
        y_title="parameters that the whole group takes",
        legend=False,
        height=PLOT_HEIGHT + 80,
    )
    dashed = {"color": colors.muted, "dash": DASHES[2], "width": 1}
    figure.add_vline(x=0.5, line=dashed, layer="below")
    figure.add_hline(y=wide, line=dashed, layer="below")
    for x, y, anchor, text in QUADRANTS:
        figure.add_annotation(
            x=x,
            y=y,
            xref="x domain",
            yref="y domain",
            yanchor=anchor,
            text=text,
            showarrow=False,
            xanchor="left" if x < 0.5 else "right",
            font={"color": colors.tolerance, "size": 12},
        )
    figure.add_trace(_bubbles(rows, share, diameters, top, sizes, colors))
    figure.update_xaxes(range=list(X_RANGE))
    figure.update_yaxes(range=[-BELOW * top, top])
    percent_axis(figure)
    percent_axis(figure, axis="y", most=top)
    wins = rows[(rows["low"] >= 0.5) & (share >= wide)]["layer"]
    return with_alt(
        figure,
        f"Tolerated ratio of {len(rows)} layers by {label_of(criterion)} against the parameters "
        "that their groups take. "
        + (f"Free wins: {listed(wins)}." if len(wins) else "No layer is surely a free win."),
    )


def _labels(
    names: Sequence[str],
    places: Sequence[tuple[float, float]],
    radii: Sequence[float],
    bars: Sequence[tuple[float, float]],
) -> list[tuple[str, str]]:
    """Return text and position of each bubble's name: most to gain first, none over another.

    Args:
        names: What is written.
        places: Pixels of each bubble from the lower left corner of the plot.
        radii: Of the bubbles.
        bars: Where the interval of each begins and ends.
    """
    taken: list[Box] = [
        (x - radius, y - radius, x + radius, y + radius)
        for (x, y), radius in zip(places, radii, strict=True)
    ]
    if len(names) <= MAX_ROWS:
        ends = zip(places, bars, strict=True)
        taken += [(low, y - 1, high, y + 1) for (_, y), (low, high) in ends]
    # The names of the quadrants.
    taken += [
        (0, PLOT_HEIGHT - 20, 190, PLOT_HEIGHT),
        (PLOT_WIDTH - 70, PLOT_HEIGHT - 20, PLOT_WIDTH, PLOT_HEIGHT),
    ]
    taken += [(0, 0, 80, 16), (PLOT_WIDTH - 70, 0, PLOT_WIDTH, 16)]
    order = sorted(range(len(names)), key=lambda place: -places[place][0] * places[place][1])
    wanted = [
        [place for place in _boxes(names[item], places[item], radii[item]) if _is_inside(place[1])]
        for item in order
    ]
    found = [("", "top center")] * len(names)
    for item, position in zip(order, with_room(wanted, taken=taken), strict=True):
        if position is not None:
            found[item] = (names[item], position)
    return found


def _boxes(name: str, place: tuple[float, float], radius: float) -> list[tuple[str, Box]]:
    """Return where a bubble's name may stand, in pixels."""
    (x, y), wide, gap = place, CHARACTER * len(name), radius + 3
    return [
        ("top center", (x - wide / 2, y + gap, x + wide / 2, y + gap + LINE)),
        ("bottom center", (x - wide / 2, y - gap - LINE, x + wide / 2, y - gap)),
        ("top right", (x, y + gap, x + wide, y + gap + LINE)),
        ("top left", (x - wide, y + gap, x, y + gap + LINE)),
        ("bottom right", (x, y - gap - LINE, x + wide, y - gap)),
        ("middle right", (x + gap, y - LINE / 2, x + gap + wide, y + LINE / 2)),
        ("middle left", (x - gap - wide, y - LINE / 2, x - gap, y + LINE / 2)),
    ]


def _is_inside(box: Box) -> bool:
    return box[0] >= -20 and box[2] <= PLOT_WIDTH + 10 and box[1] >= 0 and box[3] <= PLOT_HEIGHT


def _bubbles(
    rows: pd.DataFrame,
    share: pd.Series,
    diameters: pd.Series,
    top: float,
    sizes: Mapping[str, GroupSize],
    colors: Palette,
) -> go.Scatter:
    places = [
        (_pixels(x), (y / top + BELOW) / (1 + BELOW) * PLOT_HEIGHT)
        for x, y in zip(rows["tolerated"], share, strict=True)
    ]
    # Imported curves have no intervals.
    ends = (rows[name].fillna(rows["tolerated"]) for name in ("low", "high"))
    bars = [(_pixels(low), _pixels(high)) for low, high in zip(*ends, strict=True)]
    names = [shortened(str(name), LONGEST_NAME) for name in rows["layer"]]
    labels = _labels(names, places, [size / 2 for size in diameters], bars)
    return go.Scatter(
        x=rows["tolerated"],
        y=share,
        mode="markers+text",
        text=[text for text, _ in labels],
        textposition=[position for _, position in labels],
        textfont={"size": 11, "color": colors.text},
        cliponaxis=False,
        error_x=interval_bars(rows)
        | {
            # Many of them would hide the bubbles.
            "visible": len(rows) <= MAX_ROWS,
            "color": fade(colors.series[0], alpha=0.5),
            "thickness": 1,
            "width": 0,
        },
        marker={
            "size": diameters,
            "color": fade(colors.series[0], alpha=0.65),
            "line": {"color": colors.text, "width": 1},
        },
        customdata=rows[["layer", "criterion", "rank"]].to_numpy(dtype=object),
        hovertext=[
            f"<b>{row['layer']}</b>{_with(sizes[row['layer']].layers)}<br>"
            f"tolerates {percent(row['tolerated'], digits=1)}, rank {row['rank']}<br>"
            f"all of it: {percent(sizes[row['layer']].params, digits=1)} of the parameters, "
            f"{percent(sizes[row['layer']].macs, digits=1)} of the MACs"
            for row in rows.to_dict("records")
        ],
        hoverinfo="text",
    )


def _pixels(x: float) -> float:
    low, high = X_RANGE
    return (x - low) / (high - low) * PLOT_WIDTH


def _with(layers: Sequence[str]) -> str:
    """Return the other layers of a group, on a line of their own."""
    others = layers[1:]
    return f"<br>with {listed(others, most=4)}" if others else ""
