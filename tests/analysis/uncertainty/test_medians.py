"""Intervals of medians, beside tables of order statistics and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.uncertainty import median_interval


@pytest.mark.parametrize(
    # Ranks of the 95 % interval of a median, as tables of order statistics have them.
    ("count", "rank"),
    [(6, 1), (8, 1), (9, 2), (10, 2), (15, 4), (20, 6), (30, 10), (50, 18)],
)
def test_ranks_are_those_of_the_tables(count: int, rank: int) -> None:
    found = median_interval([float(place) for place in range(count, 0, -1)])
    assert found is not None
    assert (found.low, found.high, found.n) == (rank, count + 1 - rank, count)


def test_few_values_have_none() -> None:
    assert median_interval([1.0] * 5) is None
    assert median_interval([1.0] * 7, 0.99) is None
    assert median_interval([1.0] * 8, 0.99) is not None


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    generator = np.random.default_rng(3)
    held = 0
    for _ in range(2000):
        shares = np.exp(generator.standard_t(3, size=18) * 0.2 + np.log(0.9))
        found = median_interval(shares.tolist())
        assert found is not None
        held += found.low <= 0.9 <= found.high
    # 96.9 % by the binomial of 18; four standard errors.
    assert abs(held / 2000 - 0.9691) < 0.016
