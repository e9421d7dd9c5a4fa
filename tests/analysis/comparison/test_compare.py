"""Comparing criteria: outcomes with ties, summaries, agreement against slow references."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from analysis import comparison
from pruners.errors import InputError
from tests.analysis.points_tables import GRID, curve, table

NAN = float("nan")
LOW = [0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
HIGH = [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5]


def outcomes(points: pd.DataFrame) -> dict[tuple[str, str], str]:
    wins = comparison.win_matrix(points, tolerance=0.01)
    return {(row["layer"], row["criterion"]): row["outcome"] for row in wins.to_dict("records")}


def test_outcomes() -> None:
    found = outcomes(
        table(
            {
                ("l1", "a"): HIGH,
                ("fpgm", "a"): LOW,
                ("l1", "b"): HIGH,
                ("fpgm", "b"): HIGH,
                ("l1", "c"): LOW,
            }
        )
    )
    assert found[("a", "l1")] == "best"
    assert found[("a", "fpgm")] == "worse"
    assert found[("b", "l1")] == found[("b", "fpgm")] == "tied"
    assert found[("c", "l1")] == "only"
    assert found[("c", "fpgm")] == "n/a"


def test_overlapping_intervals_tie() -> None:
    near = [*HIGH[:4], 0.015, *HIGH[5:]]
    points = table({("l1", "a"): HIGH, ("fpgm", "a"): near}, half_width=0.006)
    assert set(outcomes(points).values()) == {"tied"}


def test_summary() -> None:
    points = table({("l1", "a"): HIGH, ("fpgm", "a"): LOW, ("l1", "b"): LOW, ("fpgm", "b"): LOW})
    found = comparison.summary(points, tolerance=0.01, weights={"a": 300, "b": 100})
    found = found.set_index("criterion")
    assert found.loc["l1", "mean_tolerated"] == pytest.approx((0.5 + 0.1) / 2)
    assert found.loc["l1", "weighted_tolerated"] == pytest.approx((3 * 0.5 + 0.1) / 4)
    assert found.loc["l1", ["best", "tied", "worse", "missing"]].tolist() == [1, 1, 0, 0]
    assert found.loc["fpgm", ["best", "tied", "worse", "missing"]].tolist() == [0, 1, 1, 0]
    assert found.loc["l1", "seconds"] == pytest.approx(1.8)


def test_mean_drop_of_a_straight_line_is_half_its_end() -> None:
    line = np.array(GRID)
    assert comparison.mean_drop(line, line) == pytest.approx(0.45)


def test_criteria_on_different_subsets_are_not_comparable() -> None:
    one = curve(HIGH, criterion="l1", samples=2000)
    other = curve(HIGH, criterion="fpgm", samples=500)
    assert comparison.comparability(one) == []
    reasons = comparison.comparability(pd.concat([one, other], ignore_index=True))
    assert reasons == ["sample counts differ: l1 2000, fpgm 500"]


def reference_by_chance(removed: int, total: int) -> float:
    first = set(range(removed))
    shares = [
        len(first & set(other)) / len(first | set(other))
        for other in itertools.combinations(range(total), removed)
    ]
    return sum(shares) / len(shares)


@pytest.mark.parametrize(("removed", "total"), [(1, 4), (2, 5), (3, 6), (5, 6), (6, 6)])
def test_expected_jaccard_over_all_choices(removed: int, total: int) -> None:
    assert comparison.expected_jaccard(removed, total) == pytest.approx(
        reference_by_chance(removed, total)
    )


def test_expected_jaccard_of_nothing_removed() -> None:
    assert comparison.expected_jaccard(0, 4) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_rank_correlation_is_that_of_scipy(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(0, 6, (30,), generator=generator).float()
    second = torch.randint(0, 6, (30,), generator=generator).float()
    expected = stats.spearmanr(first.numpy(), second.numpy()).statistic
    assert comparison.rank_correlation(first, second) == pytest.approx(float(expected))


def test_rank_correlation_without_variation_is_unknown() -> None:
    assert math.isnan(comparison.rank_correlation(torch.ones(4), torch.arange(4.0)))


def test_agreement_by_hand() -> None:
    scores = {
        "l1": {"a": torch.tensor([1.0, 2.0, 3.0, 4.0])},
        "fpgm": {"a": torch.tensor([1.0, 4.0, 3.0, 2.0]), "b": torch.ones(2)},
    }
    found = comparison.agreement(scores, ratio=0.5)
    assert len(found) == 1
    only = found.iloc[0]
    # Removed: {0, 1} and {0, 3}.
    assert only["jaccard"] == pytest.approx(1 / 3)
    assert (only["removed"], only["total"]) == (2, 4)
    assert only["by_chance"] == pytest.approx(reference_by_chance(2, 4))
    matrix = comparison.agreement_matrix(found)
    assert matrix.loc["fpgm", "l1"] == matrix.loc["l1", "fpgm"] == pytest.approx(1 / 3)
    assert matrix.loc["l1", "l1"] == 1.0


def test_agreement_needs_the_same_units() -> None:
    with pytest.raises(InputError, match="a: l1 scores 3 units, fpgm 4"):
        comparison.agreement({"l1": {"a": torch.ones(3)}, "fpgm": {"a": torch.ones(4)}}, ratio=0.5)


def test_leading_names_the_first_then_the_most_tolerant_in_the_order_of_the_table() -> None:
    table = pd.DataFrame(
        {
            "criterion": ["l1", "fpgm", "taylor", "random"] * 2,
            "tolerated": [0.1, 0.5, 0.3, 0.0, 0.3, 0.5, 0.5, float("nan")],
        }
    )
    assert comparison.leading(table, most=2) == ["fpgm", "taylor"]
    assert comparison.leading(table, most=2, first=("random",)) == ["fpgm", "random"]
    assert comparison.leading(table, most=9) == ["l1", "fpgm", "taylor", "random"]
    assert comparison.leading(table, most=2, first=("unknown",)) == ["fpgm", "taylor"]
