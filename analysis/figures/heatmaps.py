"""Charts with a cell for each layer and ratio: the matrix, the coverage of a sweep."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.curves import DROP, coverage, is_known, layer_order, metric
from analysis.figures.drawing import (
    ROW_HEIGHT,
    TOP_MARGIN,
    Palette,
    Reach,
    blank,
    canvas,
    ids,
    layer_axis,
    palette,
    reach_of,
    readable_on,
    scale,
    short_percent,
    with_alt,
)
from analysis.records import DEFAULT_TASK
from analysis.tasks import Metric, scoring_of
from pruners.criteria import label_of

STATES: Mapping[str, tuple[str, str]] = {
    # State -> (marker, what the legend says); the marker tells states apart without colour.
    "measured": ("square", "measured"),
    "running": ("square-open-dot", "running"),
    "inferred": ("diamond-open", "inferred"),
    "failed": ("x", "failed"),
    "missing": ("circle-open", "not started"),
}


def sensitivity_matrix(
    points: pd.DataFrame,
    *,
    criterion: str,
    metric_name: str = DROP,
    task: str = DEFAULT_TASK,
    tolerance: float | None = None,
    labels: bool = True,
    notes: Mapping[str, str] | None = None,
    zoom: bool = True,
    theme: str = "light",
) -> go.Figure:
    """Draw layer x ratio as square markers, so that cells can be selected.

    Cells beyond the tolerance carry a heavier outline. ``customdata`` begins with ``[layer,
    criterion, ratio_requested, ratio_achieved, kept, total, samples]``.

    Args:
        points: The points table, or what `analysis.curves.fold_points` made of it.
        criterion: Whose points.
        metric_name: A key of `analysis.curves.metrics`.
        task: Says which metrics there are, and how drops are written.
        tolerance: Largest accepted accuracy drop, as a fraction.
        labels: Write the value into each cell.
        notes: What is written behind the name of a row.
        zoom: Colours reach to a few tolerances only; what is beyond has the last one.
        theme: ``light`` or ``dark``.
    """
    colors, kind = palette(theme), metric(metric_name, task)
    known = points[(points["criterion"] == criterion) & is_known(points)]
    layers = layer_order(points)
    if known.empty:
        return blank(colors=colors, message="No measured points yet")
    shown = known[kind.column] * kind.scale
    reach = reach_of(shown, kind, tolerance=tolerance, zoom=zoom)
    ramp = colors.sequential[::-1] if kind.is_share else colors.sequential
    lowest = float(shown.min()) if kind.is_share else 0.0
    span = (lowest, max(reach.high, lowest + 1e-9))
    figure = canvas(colors=colors, height=TOP_MARGIN + 40 + ROW_HEIGHT * len(layers))
    beyond = known["accuracy_drop"] > (math.inf if tolerance is None else tolerance)
    figure.add_trace(
        go.Scatter(
            x=[short_percent(ratio) for ratio in known["ratio_requested"]],
            y=known["layer"],
            mode="markers+text" if labels else "markers",
            text=[_in_cell(value) for value in shown],
            textfont={"size": 10, "color": _text_colors(shown, span, ramp)},
            marker={
                "symbol": "square",
                "size": 24,
                "color": shown,
                "colorscale": scale(ramp),
                "cmin": span[0],
                "cmax": span[1],
                "colorbar": _color_bar(kind, reach, colors),
                "line": {
                    "color": [_border(over, colors) for over in beyond],
                    "width": [2.5 if over else 0.5 for over in beyond],
                },
            },
            customdata=_cell_ids(known),
            hovertemplate="<b>%{customdata[0]}</b> by %{customdata[7]}%{customdata[11]}<br>"
            "removed %{customdata[8]}%{customdata[9]}<br>"
            f"{kind.label} %{{marker.color:.4g}} {kind.unit}<br>%{{customdata[6]:,}} samples"
            "<extra></extra>",
            showlegend=False,
        )
    )
    if tolerance is not None:
        _explain_outlines(figure, scoring_of(task).words.limit(tolerance), colors)
    layer_axis(figure, layers, notes=notes)
    ratios = sorted(known["ratio_requested"].unique())
    figure.update_xaxes(
        title_text="fraction removed (asked)",
        type="category",
        categoryorder="array",
        categoryarray=[short_percent(ratio) for ratio in ratios],
        range=[-0.6, len(ratios) - 0.4],
    )
    note = ""
    if tolerance is not None:
        note = f"; {int(beyond.sum())} beyond {scoring_of(task).words.limit(tolerance)}"
    return with_alt(
        figure,
        f"Matrix of {known['layer'].nunique()} layers by {known['ratio_requested'].nunique()} "
        f"ratios, {kind.label} by {label_of(criterion)}{note}.",
    )


def _cell_ids(known: pd.DataFrame) -> list[list[object]]:
    """Return the ids of the cells; of folded rows with the layer whose values they show."""
    worst = known["worst"] if "worst" in known else [""] * len(known)
    return [
        [*row, f", most in {name}" if name and name != row[0] else ""]
        for row, name in zip(ids(known), worst, strict=True)
    ]


def _color_bar(kind: Metric, reach: Reach, colors: Palette) -> dict[str, object]:
    """Return a bar at the top of the chart, whatever its height; cut off colours are said."""
    bar: dict[str, object] = {
        "title": {
            "text": f"{kind.label} ({kind.unit})" if kind.unit else kind.label,
            "font": {"size": 12},
        },
        "thickness": 12,
        "lenmode": "pixels",
        "len": 210,
        "y": 1,
        "yanchor": "top",
        "outlinewidth": 0,
        "tickfont": {"color": colors.text},
    }
    if reach.is_clipped:
        ticks = [reach.limit * place / 4 for place in range(5)]
        texts = [f"{tick:g}" for tick in ticks]
        bar |= {"tickvals": ticks, "ticktext": [*texts[:-1], f"{texts[-1]} or more"]}
    return bar


def _explain_outlines(figure: go.Figure, limit: str, colors: Palette) -> None:
    """Say in the legend what thick and thin borders mean."""
    for width, text in ((2.5, f"thick border: beyond {limit}"), (0.5, f"thin: within {limit}")):
        figure.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="markers",
                name=text,
                marker={
                    "symbol": "square",
                    "size": 13,
                    "color": colors.sequential[1],
                    "line": {"color": _border(width > 1, colors), "width": width},
                },
                hoverinfo="skip",
            )
        )


def _border(is_beyond: bool, colors: Palette) -> str:
    """Return the colour of a cell's border: one that shows on all of the ramp where it is thick."""
    return colors.diverging[-1] if is_beyond else colors.text


def _in_cell(value: float) -> str:
    """Return a number that a cell has room for, with a true minus sign as on cards."""
    size = abs(value := round(value, 2) + 0.0)
    if size >= 9999.5:
        text = f"{value / 1000:.0f}k" if size < 999_500 else f"{value:.0e}".replace("e+0", "e")
    else:
        text = f"{value:.{2 if size < 9.95 else 1 if size < 99.95 else 0}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def _text_colors(shown: pd.Series, span: tuple[float, float], ramp: Sequence[str]) -> list[str]:
    share = (shown - span[0]) / max(span[1] - span[0], 1e-9)
    places = (share * (len(ramp) - 1)).clip(0, len(ramp) - 1).round().astype(int)
    return [readable_on(ramp[place]) for place in places]


def coverage_grid(
    points: pd.DataFrame, *, criterion: str, samples: int | None = None, theme: str = "light"
) -> go.Figure:
    """Draw how far each cell of a running sweep is; each state has its own marker.

    ``customdata`` is ``[layer, criterion, ratio_requested, state, samples]``.
    """
    colors = palette(theme)
    if points.empty:
        return blank(colors=colors, message="The sweep has no points yet")
    cells = coverage(points, samples=samples)
    cells = cells[cells["criterion"] == criterion]
    layers = layer_order(points)
    ramp = colors.sequential
    # Calm: what is under way is no failure.
    fills = {"measured": ramp[4], "running": ramp[2], "failed": colors.diverging[-1]}
    figure = canvas(colors=colors, height=TOP_MARGIN + 36 + 20 * len(layers))
    for state, (marker, label) in STATES.items():
        rows = cells[cells["state"] == state]
        if rows.empty:
            continue
        figure.add_trace(
            go.Scatter(
                x=rows["ratio_requested"],
                y=rows["layer"],
                mode="markers",
                name=label,
                marker={"symbol": marker, "size": 13, "color": fills.get(state, colors.muted)},
                customdata=rows[
                    ["layer", "criterion", "ratio_requested", "state", "samples"]
                ].to_numpy(dtype=object),
                text=[short_percent(ratio) for ratio in rows["ratio_requested"]],
                hovertemplate="<b>%{customdata[0]}</b> at %{text}: %{customdata[3]}, "
                "%{customdata[4]:,} samples<extra></extra>",
            )
        )
    layer_axis(figure, layers)
    ratios = sorted(cells["ratio_requested"].unique())
    figure.update_xaxes(
        title_text="fraction removed (asked)",
        tickvals=ratios,
        ticktext=[short_percent(ratio) for ratio in ratios],
    )
    count = cells["state"].value_counts()
    said = ", ".join(
        f"{int(count[state])} {label}" for state, (_, label) in STATES.items() if state in count
    )
    return with_alt(figure, f"Coverage of the sweep by {label_of(criterion)}: {said}.")
