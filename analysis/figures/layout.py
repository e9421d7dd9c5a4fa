"""The empty chart that every figure starts from, and the text that stands in for it."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.figures.palettes import Palette

FONT = '"Source Sans", "Source Sans Pro", "Segoe UI", sans-serif'
# A constant uirevision keeps a reader's zoom when new points arrive.
UIREVISION = "keep"
# Pixels for one layer in charts that list layers.
ROW_HEIGHT = 26


def canvas(
    *,
    colors: Palette,
    x_title: str = "",
    y_title: str = "",
    height: int = 420,
    legend: bool = True,
) -> go.Figure:
    """Return an empty figure: transparent, readable on the theme, zoom kept between updates."""
    figure = go.Figure()
    style_layout(figure, colors=colors, height=height, legend=legend)
    figure.update_xaxes(title_text=x_title)
    figure.update_yaxes(title_text=y_title)
    return figure


def style_layout(figure: go.Figure, *, colors: Palette, height: int, legend: bool) -> None:
    """Apply the house layout to a figure, also to one with several panels."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 28, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": colors.text, "size": 13, "family": FONT},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": colors.muted},
        colorway=list(colors.series),
        hovermode="closest",
        uirevision=UIREVISION,
        showlegend=legend,
        legend={
            "orientation": "h",
            "yanchor": "bottom",
            "y": 1.02,
            "x": 0,
            "title_text": "",
        },
    )
    axis = {
        "gridcolor": colors.grid,
        "zerolinecolor": colors.grid,
        "linecolor": colors.grid,
        "automargin": True,
        "title_font_size": 13,
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)


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


def layer_axis(figure: go.Figure, layers: Sequence[str]) -> None:
    """List layers on the y axis, the first one on top."""
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=list(layers)[::-1], tickfont_size=11
    )
