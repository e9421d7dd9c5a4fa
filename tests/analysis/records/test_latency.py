"""Intervals of times, beside tables of order statistics and simulation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.records.evaluation import Latency


def latency(repeats: list[float]) -> Latency:
    return Latency(
        median=float(np.median(repeats)),
        p90=max(repeats),
        repeats=tuple(repeats),
        batch=8,
        device="cpu",
        threads=1,
        warmup=1,
    )


@pytest.mark.parametrize(
    # Ranks of the 95 % interval of a median, as tables of order statistics have them.
    ("count", "rank"),
    [(6, 1), (8, 1), (9, 2), (10, 2), (15, 4), (20, 6), (30, 10), (50, 18)],
)
def test_ranks_are_those_of_the_tables(count: int, rank: int) -> None:
    rising = latency([float(place) for place in range(1, count + 1)])
    assert rising.share_of(latency([1.0] * count)) == (rank, count + 1 - rank)


def test_passes_are_compared_one_by_one() -> None:
    """What else the machine does is of both: it widens no interval."""
    busy = [1.0, 9.0, 2.0, 5.0, 1.0, 30.0, 4.0]
    found = latency([0.8 * item for item in busy]).share_of(latency(busy))
    assert found == pytest.approx((0.8, 0.8))


def test_few_passes_or_other_numbers_of_them_have_none() -> None:
    assert latency([1.0] * 5).share_of(latency([2.0] * 5)) is None
    assert latency([1.0] * 6).share_of(latency([2.0] * 7)) is None
    zero = dataclasses.replace(latency([2.0] * 6), repeats=(0.0,) * 6)
    assert latency([1.0] * 6).share_of(zero) is None


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    generator = np.random.default_rng(3)
    held = 0
    for _ in range(2000):
        shares = np.exp(generator.standard_t(3, size=18) * 0.2 + np.log(0.9))
        found = latency(shares.tolist()).share_of(latency([1.0] * 18))
        assert found is not None
        held += found[0] <= 0.9 <= found[1]
    # 96.9 % by the binomial of 18; four standard errors.
    assert abs(held / 2000 - 0.9691) < 0.016
