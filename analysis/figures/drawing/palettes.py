"""Colours that pass for colour-blind readers, on light and on dark backgrounds.

Criteria and other series have one family of colours, layers another: what a colour stands for never
hangs on the chart. The six series colours keep at least CIE76 25 apart under normal vision and full
protanopia, deuteranopia and tritanopia (Machado et al. 2009), and at least 3:1 contrast to the
background; those of layers 14, and 20 to each of the series under normal vision. A test computes
all of it. Colour never carries information alone: each series also has its dash and its marker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pruners.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one theme, as ``#rrggbb``.

    Attributes:
        name: ``light`` or ``dark``.
        series: One colour a series: a criterion, a plan.
        layers: Colours of layers, apart from those of the series.
        background: The page behind the charts (the charts themselves are transparent).
        text: Labels.
        grid: Grid lines.
        muted: Context curves and what is not chosen.
        tolerance: The tolerance line.
        sequential: One hue, from little to much.
        diverging: From gain over neutral to loss: blue to orange.
    """

    name: str
    series: tuple[str, ...]
    layers: tuple[str, ...]
    background: str
    text: str
    grid: str
    muted: str
    tolerance: str
    sequential: tuple[str, ...]
    diverging: tuple[str, ...]


LIGHT = Palette(
    name="light",
    series=("#332288", "#EE6677", "#6699CC", "#882255", "#997700", "#000000"),
    layers=(
        "#148F5E",
        "#CC7033",
        "#3B7EE3",
        "#B872CA",
        "#592B0D",
        "#396A6A",
        "#1B3A6A",
        "#CA7295",
        "#59590D",
        "#422430",
    ),
    background="#FFFFFF",
    text="#31333F",
    grid="#E3E5EA",
    muted="#9AA0AB",
    tolerance="#5B6270",
    sequential=("#EEF3FA", "#C5D7EC", "#8FB3D9", "#5487BE", "#2A5C96", "#123765"),
    diverging=("#2166AC", "#8FB8DA", "#ECECEC", "#F2B277", "#B35806"),
)
DARK = Palette(
    name="dark",
    series=("#99DDFF", "#E69F00", "#009E73", "#CC3311", "#AA4499", "#EEDD88"),
    layers=(
        "#18AAAA",
        "#E79055",
        "#DB8BEE",
        "#D2EB70",
        "#3B7EE3",
        "#E75590",
        "#ADEBC6",
        "#925C4F",
        "#E3B5E3",
        "#6F8321",
    ),
    background="#0E1117",
    text="#FAFAFA",
    grid="#2B303B",
    muted="#6B7280",
    tolerance="#C3C8D2",
    sequential=("#1B2636", "#26456B", "#34689F", "#5C93CB", "#9CC3E8", "#E3F0FB"),
    diverging=("#6DB3E8", "#35638A", "#2F3440", "#9A642C", "#F2A04E"),
)
PALETTES = {palette.name: palette for palette in (LIGHT, DARK)}

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "star")


@dataclass(frozen=True, slots=True)
class Style:
    """How one series is drawn: three redundant cues.

    Attributes:
        color: As ``#rrggbb``.
        dash: Of the line.
        marker: Symbol of the points.
        width: Of the line, in pixels.
        band: Opacity of the interval band, 0..1.
    """

    color: str
    dash: str
    marker: str
    width: float = 2.2
    band: float = 0.16


def palette(theme: str) -> Palette:
    """Return the palette of a theme.

    Raises:
        UnknownNameError: No such theme.
    """
    if theme not in PALETTES:
        raise UnknownNameError("theme", theme, PALETTES)
    return PALETTES[theme]


def styles(names: Sequence[str], *, colors: Palette) -> dict[str, Style]:
    """Give each name its style by its place in ``names``.

    Pass the same full list everywhere (all criteria of the run) and a criterion looks the same in
    every chart. More names than colours repeat colours with another dash and marker.
    """
    return _styles(names, colors.series)


def layer_styles(layers: Sequence[str], *, colors: Palette) -> dict[str, Style]:
    """Give each layer its style by its place in the network, in colours that no series has.

    Args:
        layers: All layers of the subject in their order, whichever are drawn.
        colors: The palette.
    """
    return _styles(layers, colors.layers)


def _styles(names: Sequence[str], family: Sequence[str]) -> dict[str, Style]:
    size = len(family)
    return {
        name: Style(
            color=family[place % size],
            dash=DASHES[(place + place // size) % len(DASHES)],
            marker=MARKERS[(place + place // size) % len(MARKERS)],
        )
        for place, name in enumerate(dict.fromkeys(names))
    }


def in_focus(style: Style) -> Style:
    """Return the look of the one series that the page is about: the same, broader."""
    return replace(style, width=3.4, band=0.22)


def behind(style: Style) -> Style:
    """Return the look of a series in another variant: same colour, thin, other dash, hollow."""
    return replace(
        style,
        dash="dot" if style.dash != "dot" else "solid",
        marker=f"{style.marker}-open",
        width=1.6,
        band=0.08,
    )


def fade(color: str, *, alpha: float) -> str:
    """Return ``#rrggbb`` as an ``rgba()`` of that opacity, 0..1."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def scale(colors: Sequence[str]) -> list[tuple[float, str]]:
    """Spread colours evenly over a Plotly colour scale."""
    last = len(colors) - 1
    return [(place / last, color) for place, color in enumerate(colors)]


def readable_on(color: str) -> str:
    """Return black or white, whichever contrasts more with a ``#rrggbb`` background."""
    return "#000000" if luminance(color) > 0.179 else "#FFFFFF"


def luminance(color: str) -> float:
    """Return the relative luminance of ``#rrggbb``, 0..1 (WCAG 2.1)."""
    channels = (int(color[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
