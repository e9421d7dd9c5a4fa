"""Advice: each sentence only where its evidence holds."""

from __future__ import annotations

import pandas as pd

from analysis.comparison.advice import advise
from tests.analysis.points_tables import GRID, curve, table

EASY = [0.0] * 7 + [0.5] * 2
HARD = [0.3] * 9
MIDDLE = [0.0, 0.0, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]


def texts(points: pd.DataFrame, **options: object) -> dict[str, str]:
    return {item.kind: item.text for item in advise(points, tolerance=0.01, **options)}  # type: ignore[arg-type]


def test_large_easy_layers_first_and_fragile_ones_left_alone() -> None:
    points = table({("l1", "a"): EASY, ("l1", "b"): HARD, ("l1", "c"): EASY})
    found = texts(points, shares={"a": 0.6, "b": 0.38, "c": 0.02})
    assert found["first"] == (
        "a (takes 60\N{NO-BREAK SPACE}% of the parameters) tolerates at least 50\N{NO-BREAK SPACE}%"
        " within 1 pp: start there."
    )
    assert found["careful"].startswith("Leave b alone")
    assert "criterion" not in found
    assert texts(points)["first"] == "a and c tolerate at least 50\N{NO-BREAK SPACE}% within 1 pp."


def test_shares_of_groups_are_not_added_up() -> None:
    """Neighbouring groups share weights: 60 % and 55 % do not make 115 %."""
    points = table({("l1", "a"): EASY, ("l1", "b"): EASY})
    assert texts(points, shares={"a": 0.55, "b": 0.6})["first"] == (
        "b (takes 60\N{NO-BREAK SPACE}% of the parameters) and a (55\N{NO-BREAK SPACE}%) tolerate"
        " at least 50\N{NO-BREAK SPACE}% within 1 pp: start there."
    )


def test_criteria() -> None:
    same = table({("l1", "a"): EASY, ("fpgm", "a"): EASY})
    assert "L1 norm and FPGM are tied" in texts(same)["criterion"]
    one = table({("l1", "a"): EASY, ("fpgm", "a"): MIDDLE})
    assert texts(one)["criterion"] == "L1 norm is best or tied in every layer."
    mixed = table(
        {("l1", "a"): EASY, ("fpgm", "a"): MIDDLE, ("l1", "b"): MIDDLE, ("fpgm", "b"): EASY}
    )
    assert "choosing one per layer matters in a and b" in texts(mixed)["criterion"]


def test_criteria_on_different_subsets_get_no_advice() -> None:
    points = pd.concat(
        [
            curve(EASY, criterion="l1", samples=100),
            curve(HARD, criterion="fpgm", samples=1000),
        ],
        ignore_index=True,
    )
    assert "criterion" not in texts(points)


def test_too_few_samples_for_the_tolerance() -> None:
    assert (
        "cannot be told from none" in texts(table({("l1", "a"): EASY}, half_width=0.02))["samples"]
    )
    assert "samples" not in texts(table({("l1", "a"): EASY}, half_width=0.002))


def test_partial_data_is_named() -> None:
    points = pd.concat(
        [curve(EASY, layer="a"), curve(EASY[:2], layer="b", ratios=GRID[:2])], ignore_index=True
    )
    last = advise(points, tolerance=0.01)[-1]
    assert (last.kind, last.layers) == ("partial", ("b",))


def test_nothing_to_say_without_points() -> None:
    assert advise(table({("l1", "a"): EASY}).iloc[:0], tolerance=0.01) == []
