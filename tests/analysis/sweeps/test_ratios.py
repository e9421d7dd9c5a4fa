"""Grids of ratios as people write them."""

from __future__ import annotations

import pytest

from analysis.sweeps.ratios import MAX_RATIOS, parse_ratios
from pruners.errors import InputError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("0.1:0.9:0.1", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
        ("0.5", (0.5,)),
        ("0.8, 0.2,0.5", (0.2, 0.5, 0.8)),
        ("0.5,0.5,0.50", (0.5,)),
        ("0.1:0.3:0.1,0.9", (0.1, 0.2, 0.3, 0.9)),
        ("0:0.5:0.25", (0.0, 0.25, 0.5)),
        ("0.2:0.2:0.1", (0.2,)),
        # The last one is left out where the step does not meet it.
        ("0.1:0.95:0.4", (0.1, 0.5, 0.9)),
    ],
)
def test_spans_and_lists(given: str, expected: tuple[float, ...]) -> None:
    assert parse_ratios(given) == expected


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "none given"),
        ("half", "'half' is not a number"),
        ("1.0", "not between 0 and 1"),
        ("-0.1", "not between 0 and 1"),
        ("nan", "not a number"),
        ("0.1:0.9", "first:last:step"),
        ("0.9:0.1:0.1", "first <= last"),
        ("0.1:0.9:0", "a step of at least 1e-06 and"),
        ("0.1:0.9:1e-300", "a step of at least 1e-06 and"),
        ("0.1:0.9:0.0001", f"at most {MAX_RATIOS}"),
    ],
)
def test_what_makes_no_grid_is_refused_in_one_line(given: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        parse_ratios(given)
    assert "\n" not in str(caught.value)
