"""Colours: contrast to the background, distance under colour blindness, redundant cues."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.figures.drawing import DARK, LIGHT, Palette, palettes
from pruners.errors import UnknownNameError

# Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", 2009, table 1, severity 1.0; they act on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deutan": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritan": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(color: str) -> np.ndarray:
    values = np.array([int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    scaled = TO_XYZ @ np.clip(rgb, 0, 1) / (TO_XYZ @ np.ones(3))
    f = np.where(scaled > (6 / 29) ** 3, np.cbrt(scaled), scaled / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    weights = np.array([0.2126, 0.7152, 0.0722])
    low, high = sorted(float(weights @ linear(color)) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture(params=[LIGHT, DARK], ids=lambda item: item.name)
def theme(request: pytest.FixtureRequest) -> Palette:
    return request.param


@pytest.mark.parametrize("vision", VISION)
def test_series_stay_apart_for_every_vision(theme: Palette, vision: str) -> None:
    seen = [lab(VISION[vision] @ linear(color)) for color in theme.series]
    nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert nearest >= 25


@pytest.mark.parametrize("vision", VISION)
def test_layers_stay_apart_and_apart_from_the_series(theme: Palette, vision: str) -> None:
    seen = [lab(VISION[vision] @ linear(color)) for color in theme.layers]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) >= 14
    if vision == "normal":
        series = [lab(linear(color)) for color in theme.series]
        assert min(np.linalg.norm(a - b) for a, b in itertools.product(seen, series)) >= 20


def test_everything_drawn_has_enough_contrast(theme: Palette) -> None:
    for color in (*theme.series, *theme.layers, theme.text, theme.tolerance):
        assert contrast(color, theme.background) >= 3, color
    assert contrast(theme.text, theme.background) >= 7


def test_ramps_rise_in_one_direction(theme: Palette) -> None:
    steps = [palettes.luminance(color) for color in theme.sequential]
    assert steps in (sorted(steps), sorted(steps, reverse=True))
    for color in theme.sequential:
        assert contrast(palettes.readable_on(color), color) >= 4.5


def test_diverging_ends_differ_for_every_vision(theme: Palette) -> None:
    for matrix in VISION.values():
        ends = [lab(matrix @ linear(theme.diverging[place])) for place in (0, -1)]
        assert np.linalg.norm(ends[0] - ends[1]) >= 25


def test_styles_are_fixed_by_place_and_redundant(theme: Palette) -> None:
    names = ["l1", "fpgm", "taylor", "l2", "random", "geometric"]
    found = palettes.styles(names, colors=theme)
    assert len({style.color for style in found.values()}) == 6
    assert len({style.dash for style in found.values()}) == 6
    assert len({style.marker for style in found.values()}) == 6
    assert palettes.styles(names, colors=theme) == found


def test_more_series_than_colours_still_differ(theme: Palette) -> None:
    found = palettes.styles([str(place) for place in range(30)], colors=theme)
    assert len(set(found.values())) == 30


def test_colour_arithmetic() -> None:
    assert palettes.fade("#102030", alpha=0.5) == "rgba(16,32,48,0.5)"
    assert palettes.scale(["#000000", "#FFFFFF"]) == [(0.0, "#000000"), (1.0, "#FFFFFF")]
    assert palettes.luminance("#FFFFFF") == pytest.approx(1.0)
    assert palettes.palette("dark") is DARK
    with pytest.raises(UnknownNameError, match="known: dark, light"):
        palettes.palette("sepia")
