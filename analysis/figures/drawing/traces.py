"""Traces of sensitivity curves: lines, interval bands, grey context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.curves import curves, is_known
from analysis.figures.drawing.layout import joined_by_gaps, short_percent
from analysis.figures.drawing.palettes import Palette, Style, fade
from analysis.sentences import percent
from analysis.tasks import Metric
from pruners.criteria import label_of

CUSTOM = ["layer", "criterion", "ratio_requested", "ratio_achieved", "kept", "total", "samples"]


@dataclass(frozen=True, slots=True)
class ComparedCurves:
    """Curves of another variant of the sweep, drawn beside those of a chart.

    Attributes:
        points: Its points table; all that it has of what the chart shows is drawn.
        name: What it is called, such as ``raw``.
        present: What the chart's own curves are called then, such as ``after lsq``.
    """

    points: pd.DataFrame
    name: str
    present: str

    def known(self, layers: Sequence[str]) -> pd.DataFrame:
        """Return the known points of these layers."""
        return self.points[is_known(self.points) & self.points["layer"].isin(layers)]

    def curves_of(self, criterion: str, layers: Sequence[str]) -> dict[str, pd.DataFrame]:
        """Return the known points of these layers' curves by a criterion, by layer."""
        known = self.known(layers)
        return {key[2]: curve for key, curve in curves(known[known["criterion"] == criterion])}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A curve and how it is drawn.

    Attributes:
        curve: Its points, rising in ratio.
        look: Its style.
        name: In the legend.
        variant: Which variant of the sweep it is, said when hovered; empty for the run's own.
    """

    curve: pd.DataFrame
    look: Style
    name: str
    variant: str = ""


def line(drawn: Drawn, kind: Metric, *, x: str) -> go.Scatter:
    """Return a curve with its markers; ``x`` names the column of the x axis."""
    curve, look = drawn.curve, drawn.look
    return go.Scatter(
        x=curve[x],
        y=curve[kind.column] * kind.scale,
        mode="lines+markers",
        name=drawn.name,
        line={"color": look.color, "dash": look.dash, "width": look.width},
        marker={"symbol": look.marker, "size": 8, "color": look.color},
        customdata=ids(curve),
        hovertemplate=_hover(kind, drawn.variant),
        text=_interval_texts(curve, kind),
    )


def _hover(kind: Metric, variant: str = "") -> str:
    digits = ".2f" if kind.unit in ("pp", "%") else ".4f"
    return (
        f"<b>%{{customdata[0]}}</b> by %{{customdata[7]}}{variant and ', ' + variant}<br>"
        "removed %{customdata[8]}%{customdata[9]}<br>"
        f"{kind.label} %{{y:{digits}}} {kind.unit}%{{text}}<br>"
        "%{customdata[10]}<extra></extra>"
    )


def ids(curve: pd.DataFrame) -> list[list[Any]]:
    """Return what each point carries: ids for selection, then texts that hovering shows."""
    rows: list[list[Any]] = curve[CUSTOM].to_numpy(dtype=object).tolist()
    return [[*row, label_of(row[1]), _removed(row[3], row[2]), *_counts(row)] for row in rows]


def _counts(row: list[Any]) -> tuple[str, str]:
    """Return what stays, and of how many samples a point is; imported ones may tell neither."""
    kept, total, samples = row[4], row[5], row[6]
    stay = f", {kept:,} of {total:,} stay" if total else ""
    return stay, f"{samples:,} samples" if samples or total else "imported"


def _removed(achieved: float, asked: float) -> str:
    return f"{percent(achieved, digits=1)} (asked {short_percent(asked)})"


def _interval_texts(curve: pd.DataFrame, kind: Metric) -> list[str]:
    if not kind.low:
        return [""] * len(curve)
    return [
        f" ({low * kind.scale:.2f} to {high * kind.scale:.2f})" if low == low else ""
        for low, high in zip(curve[kind.low], curve[kind.high], strict=True)
    ]


def add_curve(figure: go.Figure, drawn: Drawn, kind: Metric, *, x: str, band: bool = True) -> None:
    """Add a curve over the band of its intervals."""
    if band:
        figure.add_traces(band_of(drawn, kind, x=x))
    figure.add_trace(line(drawn, kind, x=x))


def band_of(drawn: Drawn, kind: Metric, *, x: str) -> list[go.Scatter]:
    """Return the band of a curve's intervals; none where the metric has no interval."""
    if not kind.low:
        return []
    curve = drawn.curve
    xs = curve[x].tolist()
    if curve[kind.high].iloc[1:].isna().all():
        return []
    high = (curve[kind.high] * kind.scale).tolist()
    low = (curve[kind.low] * kind.scale).tolist()
    return [
        go.Scatter(
            x=[*xs, *reversed(xs)],
            y=[*high, *reversed(low)],
            fill="toself",
            fillcolor=fade(drawn.look.color, alpha=drawn.look.band),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            name=f"{drawn.name} interval",
            mode="lines",
        )
    ]


def add_envelope(figure: go.Figure, drawn: Drawn, *, x: str) -> None:
    """Add the monotone envelope of a curve as a thin line."""
    figure.add_trace(
        go.Scatter(
            x=drawn.curve[x],
            y=drawn.curve["envelope"] * 100,
            mode="lines",
            name=f"{drawn.name} envelope",
            line={"color": drawn.look.color, "width": 1, "dash": "dot", "shape": "hv"},
            hoverinfo="skip",
        )
    )


def add_context(
    figure: go.Figure, context: list[pd.DataFrame], kind: Metric, *, x: str, colors: Palette
) -> None:
    """Add curves that are not chosen as one grey trace."""
    if not context:
        return
    customdata = joined_by_gaps([ids(curve) for curve in context])
    nothing = [None] * (len(CUSTOM) + 4)
    figure.add_trace(
        go.Scatter(
            x=joined_by_gaps([curve[x].tolist() for curve in context]),
            y=joined_by_gaps([(curve[kind.column] * kind.scale).tolist() for curve in context]),
            customdata=[nothing if item is None else item for item in customdata],
            mode="lines+markers",
            name="other layers",
            line={"color": fade(colors.muted, alpha=0.55), "width": 1.2},
            marker={"size": 5, "color": fade(colors.muted, alpha=0.55)},
            hovertemplate=_hover(kind).replace("%{text}", ""),
        )
    )
