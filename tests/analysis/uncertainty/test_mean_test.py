"""The sequential test of a mean: its numbers against numpy, its error by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.uncertainty.mean_test import MeanTest


def parts(values: np.ndarray, looks: int) -> list[np.ndarray]:
    return np.array_split(values, looks)


def decided(values: np.ndarray, looks: int, alpha: float) -> bool:
    test = MeanTest(looks, alpha)
    for part in parts(values, looks):
        found = test.update(float(part.mean()), float(part.var()), len(part))
        if found is not None:
            return found
    raise AssertionError("the last look decides")


def test_mean_and_error_are_those_of_all_values() -> None:
    values = np.random.default_rng(0).normal(-0.01, 1.0, 700)
    test = MeanTest(7, 1e-9)
    for part in np.split(values, [50, 170, 300, 310, 500, 640]):
        test.update(float(part.mean()), float(part.var()), len(part))
    assert test.samples == 700
    assert test.mean == pytest.approx(values.mean(), rel=1e-12)
    assert test.error == pytest.approx(values.std(ddof=1) / 700**0.5, rel=1e-12)


@pytest.mark.parametrize("draw", ["normal", "skewed"])
def test_a_mean_of_zero_rarely_passes_for_less(draw: str) -> None:
    chance = np.random.default_rng(1)
    wrong = 0
    for _ in range(2000):
        values = chance.normal(size=800) if draw == "normal" else 1 - chance.exponential(size=800)
        wrong += decided(values, 4, 0.1)
    # 2,000 trials at 10 %: three standard errors above it are 12 %.
    assert wrong / 2000 <= 0.12


def test_what_is_clearly_below_is_found_at_once_and_what_is_above_given_up() -> None:
    chance = np.random.default_rng(2)
    test = MeanTest(5)
    low = chance.normal(-1, 1, 100)
    assert test.update(float(low.mean()), float(low.var()), 100) is True
    test = MeanTest(5)
    assert test.update(0.5, 1.0, 100) is False
    # Equal plans differ in nothing: never better.
    assert MeanTest(1).update(0.0, 0.0, 100) is False
