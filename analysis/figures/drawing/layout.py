"""The empty chart that every figure starts from, and the text that stands in for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from analysis.figures.drawing.palettes import Palette
from analysis.sentences import percent

FONT = '"Source Sans", "Source Sans Pro", "Segoe UI", sans-serif'
# A constant uirevision keeps a reader's zoom when new points arrive.
UIREVISION = "keep"
# Pixels for one layer in charts that list layers.
ROW_HEIGHT = 26
# Of legend, title and ticks above such a chart.
TOP_MARGIN = 84
# Characters.
LONGEST_NAME = 34
# Distances of ticks on an axis of fractions.
STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25)


def canvas(
    *,
    colors: Palette,
    x_title: str = "",
    y_title: str = "",
    height: int = 420,
    legend: bool = True,
) -> go.Figure:
    """Return an empty figure: transparent, readable on the theme, zoom kept between updates."""
    # All at once: Plotly checks the whole layout at each update.
    look, axis = _look(colors, height=height, legend=legend), _axis(colors)
    titles = {"xaxis": x_title, "yaxis": y_title}
    axes = {name: axis | {"title": axis["title"] | {"text": text}} for name, text in titles.items()}
    return go.Figure(layout=look | axes)


def style_layout(figure: go.Figure, *, colors: Palette, height: int, legend: bool) -> None:
    """Apply the house layout to a figure of several panels."""
    figure.update_layout(_look(colors, height=height, legend=legend))
    figure.update_xaxes(_axis(colors))
    figure.update_yaxes(_axis(colors))


def _look(colors: Palette, *, height: int, legend: bool) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 28, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": colors.text, "size": 13, "family": FONT},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": colors.muted},
        "colorway": list(colors.series),
        "hovermode": "closest",
        "uirevision": UIREVISION,
        "showlegend": legend,
        "legend": {
            "orientation": "h",
            "yanchor": "bottom",
            "y": 1.02,
            "x": 0,
            "title": {"text": ""},
        },
    }


def _axis(colors: Palette) -> dict[str, Any]:
    return {
        "gridcolor": colors.grid,
        "zerolinecolor": colors.grid,
        "linecolor": colors.grid,
        "automargin": True,
        "title": {"font": {"size": 13}},
    }


def with_alt(figure: go.Figure, text: str) -> go.Figure:
    """Attach the text that says what the chart shows."""
    figure.update_layout(meta={"alt": text})
    return figure


def alt(figure: go.Figure) -> str:
    """Return the text that says what the chart shows, computed from its data."""
    meta = figure.layout.meta
    return str(meta["alt"]) if isinstance(meta, dict) and "alt" in meta else ""


def blank(*, colors: Palette, message: str, height: int = 240) -> go.Figure:
    """Return a chart without data that says why."""
    figure = canvas(colors=colors, height=height, legend=False)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(
        text=message, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper", font={"size": 15}
    )
    return with_alt(figure, message)


def joined_by_gaps(curves: Sequence[Sequence[object]]) -> list[object]:
    """Join curves into one trace with gaps between them: one trace draws faster than many."""
    joined: list[object] = []
    for curve in curves:
        joined += [*curve, None]
    return joined[:-1] if joined else []


def layer_axis(
    figure: go.Figure, layers: Sequence[str], *, notes: Mapping[str, str] | None = None
) -> None:
    """List layers on the y axis, the first one on top, and the x axis above them.

    Args:
        figure: A chart with a row a layer.
        layers: Their names.
        notes: What is written behind a name.
    """
    said = notes or {}
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=list(layers)[::-1],
        range=[-0.6, len(layers) - 0.4],
        tickvals=list(layers),
        ticktext=[shortened(name, LONGEST_NAME) + said.get(name, "") for name in layers],
        tickfont_size=11,
    )
    # On top: of many rows the lower end is out of sight.
    figure.update_xaxes(side="top")
    figure.update_layout(
        margin_t=TOP_MARGIN, legend={"yref": "container", "y": 1, "yanchor": "top"}
    )


def short_percent(fraction: float) -> str:
    """Return a fraction as percent, with a digit behind the point only where it needs one.

    >>> [short_percent(ratio).split() for ratio in (0.5, 0.625)]
    [['50', '%'], ['62.5', '%']]
    """
    scaled = fraction * 100
    return percent(fraction, digits=0 if abs(scaled - round(scaled)) < 0.05 else 1)


def percent_axis(
    figure: go.Figure, *, axis: str = "x", least: float = 0.0, most: float = 1.0
) -> None:
    """Write an axis of fractions as percents.

    Args:
        figure: A chart.
        axis: ``x`` or ``y``.
        least: The smallest fraction that it shows.
        most: Where the axis ends.
    """
    step = next((item for item in STEPS if (most - least) / item <= 6), STEPS[-1])
    first = int(least / step + 1e-9)
    values = [place * step for place in range(first, int(most / step + 1e-9) + 1)]
    digits = 0 if step >= 0.01 else 1
    ticks = {"tickvals": values, "ticktext": [percent(value, digits=digits) for value in values]}
    (figure.update_xaxes if axis == "x" else figure.update_yaxes)(**ticks)


def shortened(name: str, most: int) -> str:
    """Return a name of at most so many characters, cut in the middle.

    >>> shortened("features.denseblock4.denselayer16.conv2", 24)
    'featu…denselayer16.conv2'
    """
    if len(name) <= most:
        return name
    # The end of a module's name says most.
    end = most * 3 // 4
    return f"{name[: most - end - 1]}\N{HORIZONTAL ELLIPSIS}{name[-end:]}"
