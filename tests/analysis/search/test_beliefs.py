"""Beliefs: the filter against the posterior of all trials at once."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.search.beliefs import MISFIT, SPREAD, Beliefs

NAMES = ("a", "b", "c")


def test_the_filter_is_the_posterior_of_all_trials() -> None:
    chance = np.random.default_rng(0)
    truth = np.array([0.8, 1.2, 1.0])
    beliefs = Beliefs(NAMES)
    precision = np.linalg.inv(np.diag((SPREAD * np.ones(3)) ** 2))
    weighted = precision @ np.ones(3)
    for _ in range(8):
        row = chance.normal(size=3) * 0.1
        error = 0.01
        found = float(row @ truth) + float(chance.normal() * error)
        beliefs.learn(dict(zip(NAMES, row.tolist(), strict=True)), found, error)
        noise = error**2 + (MISFIT * found) ** 2 + 1e-12
        precision = precision + np.outer(row, row) / noise
        weighted = weighted + row * found / noise
    covariance = np.linalg.inv(precision)
    assert beliefs.factors == pytest.approx(covariance @ weighted, rel=1e-6)
    assert beliefs.covariance == pytest.approx(covariance, rel=1e-6, abs=1e-9)


def test_a_forecast_is_a_weighted_sum_of_factors() -> None:
    beliefs = Beliefs(NAMES, scale=2.0)
    found = beliefs.forecast({"a": 0.3, "c": -0.1})
    assert found.mean == pytest.approx(2 * (0.3 - 0.1))
    assert found.deviation == pytest.approx(2 * SPREAD * (0.3**2 + 0.1**2) ** 0.5)
    assert found.hope == pytest.approx(found.mean - 2 * found.deviation)


def test_what_was_measured_well_is_known_well() -> None:
    beliefs = Beliefs(NAMES)
    before = beliefs.forecast({"b": 0.1}).deviation
    for _ in range(20):
        beliefs.learn({"b": 0.1}, 0.3, 1e-4)
    after = beliefs.forecast({"b": 0.1})
    assert after.mean == pytest.approx(0.3, rel=0.1)
    assert after.deviation < before / 2
    assert beliefs.forecast({"a": 0.1}).mean == pytest.approx(0.1)
    beliefs.drift()
    assert beliefs.forecast({"b": 0.1}).deviation > after.deviation
