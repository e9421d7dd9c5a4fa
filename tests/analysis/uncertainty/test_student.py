"""Student's interval against scipy."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from analysis.uncertainty.student import mean_interval, t_quantile
from pruners.errors import InputError


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 9, 30, 101])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_quantiles_are_those_of_the_library(confidence: float, freedom: int) -> None:
    expected = stats.t.ppf((1 + confidence) / 2, freedom)
    assert t_quantile(confidence, freedom) == pytest.approx(expected, rel=1e-9)


def test_the_interval_of_a_mean_is_that_of_the_library() -> None:
    """Several seeds are told as a mean with its interval."""
    values = [0.912, 0.905, 0.918]
    found = mean_interval(values)
    low, high = stats.t.interval(0.95, 2, loc=sum(values) / 3, scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.method, found.n) == ("student", 3)
    same = mean_interval([0.9, 0.9])
    assert math.isclose(same.low, same.high)


@pytest.mark.parametrize(("values", "confidence"), [([0.9], 0.95), ([0.9, 0.8], 1.0)])
def test_what_has_no_interval_is_refused(values: list[float], confidence: float) -> None:
    with pytest.raises(InputError):
        mean_interval(values, confidence)
