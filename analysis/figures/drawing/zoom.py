"""How far a chart of drops reaches, where the decision is, and what is said of the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from analysis.curves import TOLERANCES, is_known
from analysis.figures.drawing.layout import shortened
from analysis.figures.drawing.palettes import Palette
from analysis.sentences import plural
from analysis.tasks import Metric, scoring_of

# Room above and below what is drawn, as a share of it.
MARGIN = 0.06
# Pixels: of title, axis and margins beside the plot; from one label to the next.
PLOT_MARGINS = 90
LABEL_PITCH = 15
# Characters.
LONGEST_LABEL = 28
DROPS = "accuracy_drop"


@dataclass(frozen=True, slots=True)
class Reach:
    """The part of the y axis that a chart shows, scaled.

    Attributes:
        low: Lower end.
        high: Upper end.
        limit: Where curves are cut off; infinite where all of them are shown.
    """

    low: float
    high: float
    limit: float = float("inf")

    @property
    def is_clipped(self) -> bool:
        """Whether something goes on beyond the upper end."""
        return self.limit < float("inf")


def reach_of(drawn: pd.Series, kind: Metric, *, tolerance: float | None, zoom: bool) -> Reach:
    """Return how far a chart reaches.

    Args:
        drawn: All heights that are drawn, scaled.
        kind: What they are; only drops are cut off.
        tolerance: Largest accepted drop, as a fraction.
        zoom: Whether drops of more than `TOLERANCES` tolerances are cut off.
    """
    low, high = float(drawn.min()), float(drawn.max())
    if kind.column == DROPS and tolerance is not None:
        high = max(high, 1.2 * tolerance * kind.scale)
    if not kind.is_share:
        low = min(low, 0.0)
    limit = TOLERANCES * (tolerance or 0.0) * kind.scale
    if not (zoom and kind.column == DROPS and 0 < limit < high):
        margin = MARGIN * max(high - low, 1e-9)
        top = min(100.5, high + margin) if kind.is_share else high + margin
        return Reach(low - margin, top)
    return Reach(max(low, -limit / 2) - MARGIN * limit, limit, limit)


def label_ends(
    figure: go.Figure, ends: Sequence[tuple[str, float, str]], *, reach: Reach, height: int
) -> None:
    """Write names, each at a height with a colour, right of the plot and clear of each other.

    What ends beyond the upper end is named there, with an arrow and where it ends.
    """
    plot = height - PLOT_MARGINS
    pixels = plot / max(reach.high - reach.low, 1e-9)
    names, places = {}, {}
    for name, y, _ in ends:
        over = y > reach.high
        short = shortened(name, LONGEST_LABEL)
        names[name] = f"{short} \N{UPWARDS ARROW} {_few_digits(y)}" if over else short
        places[name] = (min(y, reach.high) - reach.low) * pixels
    # Of those at the upper end, the one that ends highest stands on top.
    order = sorted(places, key={name: y for name, y, _ in ends}.__getitem__)
    clear = dict(zip(order, _apart([places[name] for name in order], plot), strict=True))
    longest = max((len(text) for text in names.values()), default=0)
    figure.update_layout(margin_r=max(8, 12 + round(6.2 * longest)))
    for name, y, color in ends:
        figure.add_annotation(
            x=1,
            xref="x domain",
            y=min(y, reach.high),
            text=names[name],
            showarrow=False,
            xanchor="left",
            xshift=4,
            yshift=clear[name] - places[name],
            font={"color": color, "size": 12},
        )


def _few_digits(value: float) -> str:
    """Return a number of about three digits as people write it: 24.4, and 4,874 in full."""
    return f"{value:,.0f}" if 100 <= abs(value) < 1e7 else f"{value:.3g}"


def _apart(places: Sequence[float], top: float) -> list[float]:
    """Return the places moved up, and where that ends down again, until labels are clear."""
    order = sorted(range(len(places)), key=lambda item: places[item])
    moved = list(places)
    floor = -math.inf
    for item in order:
        moved[item] = max(moved[item], floor)
        floor = moved[item] + LABEL_PITCH
    ceiling = max(top, places[order[-1]] if order else top)
    for item in reversed(order):
        moved[item] = min(moved[item], ceiling)
        ceiling = moved[item] - LABEL_PITCH
    return moved


def say_clipped(figure: go.Figure, text: str, colors: Palette, *, inside: bool = False) -> None:
    """Write that curves go on beyond the plot: above it, or in its upper right corner."""
    figure.add_annotation(
        x=1 if inside else 0,
        y=1,
        xref="x domain",
        yref="paper",
        xanchor="right" if inside else "left",
        yanchor="top" if inside else "bottom",
        text=text,
        showarrow=False,
        font={"color": colors.tolerance, "size": 12},
        # Curves go through the corner.
        bgcolor=colors.background if inside else None,
    )


def clipped_text(drawn: Sequence[pd.DataFrame], *, tolerance: float | None, task: str) -> str:
    """Say how many curves a zoomed chart cuts off, and where; empty where it cuts off none.

    Args:
        drawn: The points of each curve that is drawn.
        tolerance: Largest accepted drop, as a fraction.
        task: Says how drops are written.
    """
    if not tolerance:
        return ""
    largest = TOLERANCES * tolerance
    cut = sum(bool((is_known(rows) & (rows["accuracy_drop"] > largest)).any()) for rows in drawn)
    if not cut:
        return ""
    limit = scoring_of(task).words.limit(largest)
    return (
        f"{cut} of {plural(len(drawn), 'curve')} {'goes' if cut == 1 else 'go'} on beyond {limit}"
    )
