"""Numbers as the pages write them."""

from __future__ import annotations

import math

import pytest

from pages.components.widgets import formatting

NBSP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0"), (7, "7"), (999, "999"), (1000, "1.00 k"), (272_186, "272 k"), (8_523_968, "8.52 M")],
)
def test_counts_have_si_prefixes(count: int, expected: str) -> None:
    assert formatting.si(count) == expected.replace(" ", NBSP)


@pytest.mark.parametrize("count", [999.4, 999.6, 99_949, 99_951, 999_499, 999_501, 1e9 - 1])
def test_a_prefix_never_shows_a_thousand(count: float) -> None:
    number = float(formatting.si(count).split(NBSP)[0])
    assert number < 1000


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "40 ms"),
        (0.0, "0.0 s"),
        (1.84, "1.8 s"),
        (9.96, "10 s"),
        (59.7, "1 min 0 s"),
        (130, "2 min 10 s"),
        (3900, "1 h 5 min"),
        (None, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_durations(seconds: float | None, expected: str) -> None:
    assert formatting.duration(seconds).replace(NBSP, " ") == expected


def test_accuracy_and_differences_have_two_decimals_and_a_true_minus() -> None:
    assert formatting.percent(0.92345) == f"92.34{NBSP}%"
    assert formatting.points(-0.0035) == f"{MINUS}0.35{NBSP}pp"
    assert formatting.points(0.0035) == f"+0.35{NBSP}pp"
    assert formatting.points(-0.00001) == f"0.00{NBSP}pp"
    assert formatting.points(math.nan) == formatting.DASH
    assert formatting.change(200, 100) == f"{MINUS}50.0{NBSP}%"
    assert formatting.change(0, 1) == formatting.DASH


def test_a_metric_gets_a_sign_that_it_can_read() -> None:
    worse = formatting.delta(formatting.points(-0.01), changed=True)
    assert worse == {"delta": f"-1.00{NBSP}pp", "delta_color": "normal"}
    smaller = formatting.delta(formatting.change(2, 1), changed=True, better_when="down")
    assert smaller["delta_color"] == "inverse"
    assert formatting.delta(formatting.points(0), changed=False)["delta_arrow"] == "off"


def test_long_lists_are_shortened() -> None:
    assert formatting.listed(["a", "b"]) == "a, b"
    assert formatting.code_list(list("abcde")) == "`a`, `b`, `c` and 2 more"


@pytest.mark.parametrize(
    ("address", "title"),
    [
        ("sample:resnet20", "resnet20"),
        ("torchvision:resnet18#weights=w/x.safetensors", "resnet18"),
        ("models/net.py:build", "net.py:build"),
        ("npz:data/test.npz#mean=0.5", "test.npz"),
        ("npz:test.npz", "test.npz"),
        ("imagefolder:photos/", "photos"),
        ("timm:resnet18", "resnet18"),
    ],
)
def test_addresses_have_short_titles(address: str, title: str) -> None:
    assert formatting.title_of(address) == title
