"""Charts with a cell for each layer and ratio: the matrix, the coverage of a sweep."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.curves import DROP, coverage, is_known, layer_order, metric
from analysis.figures.layout import ROW_HEIGHT, blank, canvas, layer_axis, with_alt
from analysis.figures.palettes import palette, readable_on, scale, styles
from analysis.figures.traces import CUSTOM
from analysis.records import DEFAULT_TASK
from analysis.tasks import scoring_of

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
    theme: str = "light",
) -> go.Figure:
    """Draw layer x ratio as square markers, so that cells can be selected.

    Cells beyond the tolerance carry a heavier outline. ``customdata`` is ``[layer, criterion,
    ratio_requested, ratio_achieved, kept, total, samples]``.

    Args:
        points: The points table.
        criterion: Whose points.
        metric_name: A key of `analysis.curves.metrics`.
        task: Says which metrics there are, and how drops are written.
        tolerance: Largest accepted accuracy drop, as a fraction.
        labels: Write the value into each cell.
        theme: ``light`` or ``dark``.
    """
    colors, kind = palette(theme), metric(metric_name, task)
    known = points[(points["criterion"] == criterion) & is_known(points)]
    layers = layer_order(points)
    height = 110 + ROW_HEIGHT * len(layers)
    if known.empty:
        return blank(colors=colors, message="No measured points yet")
    shown = known[kind.column] * kind.scale
    reach = float(max(shown.abs().max(), 1e-9))
    ramp = colors.sequential if kind.unit != "%" else colors.sequential[::-1]
    lowest = float(shown.min()) if kind.unit == "%" else 0.0
    figure = canvas(colors=colors, x_title="fraction removed (asked)", height=height, legend=False)
    beyond = known["accuracy_drop"] > (math.inf if tolerance is None else tolerance)
    figure.add_trace(
        go.Scatter(
            x=known["ratio_requested"],
            y=known["layer"],
            mode="markers+text" if labels else "markers",
            text=[f"{value:.1f}" if reach >= 10 else f"{value:.2f}" for value in shown],
            textfont={"size": 10, "color": _text_colors(shown, lowest, reach, ramp)},
            marker=_squares(shown, lowest, reach, ramp)
            | {
                "colorbar": {"title": f"{kind.label} ({kind.unit})", "thickness": 12},
                "line": {"color": colors.text, "width": [2.5 if over else 0.5 for over in beyond]},
            },
            customdata=known[CUSTOM].to_numpy(dtype=object),
            hovertemplate="<b>%{customdata[0]}</b> by %{customdata[1]}<br>"
            "removed %{customdata[3]:.1%}, %{customdata[4]} of %{customdata[5]} stay<br>"
            f"{kind.label} %{{marker.color:.4g}} {kind.unit}<br>%{{customdata[6]}} samples"
            "<extra></extra>",
        )
    )
    layer_axis(figure, layers)
    figure.update_xaxes(tickformat=".0%")
    note = ""
    if tolerance is not None:
        note = f"; {int(beyond.sum())} beyond {scoring_of(task).words.limit(tolerance)}"
    return with_alt(
        figure,
        f"Matrix of {known['layer'].nunique()} layers by {known['ratio_requested'].nunique()} "
        f"ratios, {kind.label} by {criterion}{note}.",
    )


def _text_colors(shown: pd.Series, lowest: float, reach: float, ramp: Sequence[str]) -> list[str]:
    span = max(reach - lowest, 1e-9)
    places = ((shown - lowest) / span * (len(ramp) - 1)).clip(0, len(ramp) - 1).round().astype(int)
    return [readable_on(ramp[place]) for place in places]


def _squares(
    shown: pd.Series, lowest: float, reach: float, ramp: Sequence[str]
) -> dict[str, object]:
    return {
        "symbol": "square",
        "size": 24,
        "color": shown,
        "colorscale": scale(ramp),
        "cmin": lowest,
        "cmax": reach,
    }


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
    look = styles(list(STATES), colors=colors)
    figure = canvas(
        colors=colors,
        x_title="fraction removed (asked)",
        height=120 + 20 * len(layers),
    )
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
                marker={"symbol": marker, "size": 13, "color": look[state].color},
                customdata=rows[
                    ["layer", "criterion", "ratio_requested", "state", "samples"]
                ].to_numpy(dtype=object),
                hovertemplate="<b>%{customdata[0]}</b> at %{customdata[2]:.0%}: %{customdata[3]}, "
                "%{customdata[4]} samples<extra></extra>",
            )
        )
    layer_axis(figure, layers)
    figure.update_xaxes(tickformat=".0%")
    count = cells["state"].value_counts()
    said = ", ".join(
        f"{int(count[state])} {label}" for state, (_, label) in STATES.items() if state in count
    )
    return with_alt(figure, f"Coverage of the sweep by {criterion}: {said}.")
