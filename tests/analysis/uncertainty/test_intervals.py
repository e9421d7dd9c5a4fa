"""Intervals against closed forms, published values and simulated coverage."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import binomtest

from analysis.uncertainty.intervals import wilson
from analysis.uncertainty.paired import paired_drop
from pruners.errors import InputError


@pytest.mark.parametrize(("correct", "n"), [(0, 10), (3, 10), (10, 10), (937, 1000), (1, 1)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_equals_scipy(correct: int, n: int, confidence: float) -> None:
    expected = binomtest(correct, n).proportion_ci(confidence, method="wilson")
    found = wilson(correct, n, confidence)
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)
    assert (found.method, found.n) == ("wilson", n)


def reference_score(lost: int, gained: int, n: int, difference: float) -> float:
    """Tango's score with the restricted maximum likelihood found by brute force."""
    best, chance = -math.inf, 0.0
    steps = 200_000
    low = max(0.0, -difference)
    high = (1 - difference) / 2
    for k in range(1, steps):
        q = low + (high - low) * k / steps
        rest = 1 - 2 * q - difference
        likelihood = (
            lost * math.log(q + difference)
            + gained * math.log(q)
            + (n - lost - gained) * math.log(rest)
        )
        if likelihood > best:
            best, chance = likelihood, q
    variance = (2 * chance + difference - difference**2) / n
    return ((lost - gained) / n - difference) / math.sqrt(variance)


@pytest.mark.parametrize(("lost", "gained", "n"), [(12, 2, 44), (5, 5, 60), (30, 4, 50)])
def test_the_ends_have_the_score_of_the_quantile(lost: int, gained: int, n: int) -> None:
    drop, interval = paired_drop(lost, gained, n)
    assert drop == (lost - gained) / n
    assert reference_score(lost, gained, n, interval.low) == pytest.approx(1.959964, abs=2e-3)
    assert reference_score(lost, gained, n, interval.high) == pytest.approx(-1.959964, abs=2e-3)


def test_nothing_flipped_is_no_point_interval() -> None:
    drop, interval = paired_drop(0, 0, 100)
    z = 1.959964
    assert drop == 0
    assert interval.high == pytest.approx(z * z / (100 + z * z), abs=1e-6)
    assert interval.low == -interval.high


def test_all_flipped_and_no_samples() -> None:
    assert paired_drop(50, 0, 50)[1].high == pytest.approx(1.0)
    assert paired_drop(0, 50, 50)[1].low == pytest.approx(-1.0)
    drop, interval = paired_drop(0, 0, 0)
    assert math.isnan(drop)
    assert (interval.low, interval.high) == (-1, 1)


@pytest.mark.parametrize("counts", [(0, 0, 1), (3, 1, 10), (100, 40, 2000), (1, 0, 2000)])
def test_interval_is_mirrored_and_shrinks_with_samples(counts: tuple[int, int, int]) -> None:
    lost, gained, n = counts
    drop, interval = paired_drop(lost, gained, n)
    assert -1 <= interval.low <= drop <= interval.high <= 1
    _, mirrored = paired_drop(gained, lost, n)
    assert mirrored.low == pytest.approx(-interval.high)
    assert mirrored.high == pytest.approx(-interval.low)
    _, longer = paired_drop(4 * lost, 4 * gained, 4 * n)
    assert longer.high - longer.low < interval.high - interval.low
    _, surer = paired_drop(lost, gained, n, 0.99)
    assert surer.low < interval.low
    assert surer.high > interval.high


@pytest.mark.parametrize("chances", [(0.0, 0.01), (0.02, 0.005), (0.1, 0.1), (0.3, 0.01)])
def test_coverage_of_the_paired_interval(chances: tuple[float, float]) -> None:
    lost, gained = chances
    generator = torch.Generator().manual_seed(0)
    weights = torch.tensor([lost, gained, 1 - lost - gained])
    trials, n = 1000, 300
    drawn = torch.multinomial(weights, trials * n, replacement=True, generator=generator)
    rows = drawn.reshape(trials, n)
    hits = 0
    for row in rows:
        _, interval = paired_drop(int((row == 0).sum()), int((row == 1).sum()), n)
        hits += interval.low <= lost - gained <= interval.high
    assert hits / trials > 0.93


@pytest.mark.parametrize("arguments", [(1, 1, 1), (-1, 0, 5), (3, 0, 2)])
def test_impossible_counts_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(InputError):
        paired_drop(*arguments)
    with pytest.raises(InputError):
        wilson(3, 2)
    with pytest.raises(InputError):
        wilson(1, 2, confidence=95)
