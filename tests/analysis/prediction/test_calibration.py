"""Calibration against the conditional distribution written out, and its interval by simulation."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import t as student

from analysis.prediction import Calibration, Signs
from analysis.prediction.calibration import scaled, unscaled


def any_signs(chance: random.Random) -> Signs:
    layers = chance.sample("abcdef", chance.randint(2, 6))
    added = 0.3 * chance.random() ** 2
    places = random.Random(added)
    return Signs(
        {name: chance.random() * 0.5 for name in layers},
        added,
        tuple(added * factor for factor in (1.2, 1.8, 2.5)),
        bend=-0.1 * added * chance.random(),
        evenness=1 - 1 / len(layers),
        coherence=places.uniform(0.7, 2.0),
        samples=512,
        error=0.02 * chance.random(),
        between={
            (("l1", "channel", name), places.randint(0, 1)): (places.random(), 0.1 * added)
            for name in layers
        },
    )


def bent(drop: float) -> float:
    return math.sqrt(drop + 0.002) if drop >= 0 else math.sqrt(0.002) + drop / 2 / math.sqrt(0.002)


def size(signs: Signs) -> float:
    large = min(signs.together[0] / 0.1, 1.0) ** 0.8
    return max(min(signs.evenness * 1.5, 1.0) * large, 0.1)


def same_way(signs: Signs) -> float:
    first, second, _ = map(bent, signs.together)
    return 0.7 * (second - first) * max(signs.coherence - 1, 0)


def expected_of(signs: Signs) -> float:
    """Return what is expected of a plan without any that was measured, as scaled."""
    return bent(signs.together[0]) + 1.8 * same_way(signs) * size(signs)


def covariance(one: Signs, other: Signs, *, noise: bool) -> float:
    """Return the covariance of two plans' errors, term by term."""

    def columns(signs: Signs) -> list[float]:
        first, second, third = map(bent, signs.together)
        rest = bent(signs.added) - first
        steps = [0.7 * (second - first), 0.3 * (third - second)]
        return [0.12 * first, *steps, 0.8 * same_way(signs), 0.2 * rest]

    apart = sum(
        (one.ratios.get(name, 0.0) - other.ratios.get(name, 0.0)) ** 2
        for name in one.ratios.keys() | other.ratios.keys()
    )
    total = sum(a * b for a, b in zip(columns(one), columns(other), strict=True))
    total += 0.01 * math.exp(-apart / (2 * 0.25**2))
    total *= size(one) * size(other)
    for name in one.between.keys() & other.between.keys():
        (first, rise), (second, other_rise) = one.between[name], other.between[name]
        slopes = [1 / (2 * bent(item.together[0])) for item in (one, other)]
        # A Brownian bridge over the interval.
        bridge = min(first, second) * (1 - max(first, second))
        total += 0.36 * rise * slopes[0] * other_rise * slopes[1] * bridge
    if noise:
        total += (0.025 * min(max(size(one) / 0.3, 0.3), 1.0)) ** 2 + (0.05 * size(one)) ** 2
        total += (0.4 * (bent(one.together[0] + one.bend) - bent(one.together[0]))) ** 2
        total += (one.error / (2 * bent(one.together[0]))) ** 2
    return total


def joint(signs: Sequence[Signs]) -> np.ndarray:
    return np.array(
        [[covariance(one, other, noise=one is other) for other in signs] for one in signs]
    )


def test_it_is_the_conditional_distribution() -> None:
    chance = random.Random(0)
    known = [any_signs(chance) for _ in range(12)]
    drops = [item.together[0] + 0.05 * chance.random() for item in known]
    asked = any_signs(chance)
    whole = joint([*known, asked])
    inverse, shared = np.linalg.inv(whole[:-1, :-1]), whole[-1, :-1]
    errors = np.array([bent(d) - expected_of(s) for d, s in zip(drops, known, strict=True)])
    mean = expected_of(asked) + shared @ inverse @ errors
    size = (10 * 2 + errors @ inverse @ errors) / 22
    reach = student.ppf(0.95, 22) * math.sqrt(size * (whole[-1, -1] - shared @ inverse @ shared))
    found = Calibration(known, drops).predict(asked, confidence=0.9)
    expected = [mean, mean - reach, mean + reach]
    assert scaled(np.array(found)) == pytest.approx(expected, abs=2e-4)


def test_the_interval_holds_what_it_promises() -> None:
    """Of subjects of any size of error, nine of ten drops lie inside."""
    generator, chance = np.random.default_rng(3), random.Random(3)
    inside = []
    for _ in range(60):
        signs = [any_signs(chance) for _ in range(30)]
        size = 10 * 2 / generator.chisquare(10)
        errors = generator.multivariate_normal(np.zeros(30), size * joint(signs))
        drops = unscaled(np.array([expected_of(item) for item in signs]) + errors)
        taught = Calibration(signs[:20], drops[:20].tolist())
        for item, drop in zip(signs[20:], drops[20:], strict=True):
            _, low, high = taught.predict(item, confidence=0.9)
            inside.append(low <= drop <= high)
    assert 0.86 <= np.mean(inside) <= 0.94


def test_measured_plans_make_it_right() -> None:
    """A subject whose plans lose twice what their layers do together, as the signs can tell.

    Plans stand on points of the curves, where these do not stray.
    """
    chance = random.Random(5)
    signs = [dataclasses.replace(any_signs(chance), between={}) for _ in range(60)]
    drops = [item.together[0] * 2 for item in signs]

    def error(known: int) -> float:
        taught = Calibration(signs[:known], drops[:known])
        found = [taught.predict(item, confidence=0.9)[0] for item in signs[40:]]
        return float(np.median([abs(a - b) for a, b in zip(found, drops[40:], strict=True)]))

    assert error(40) < 0.2 * error(0)


def test_measured_plans_teach_what_curves_do_between_their_points() -> None:
    """A curve that is 3 pp higher in the middle of one interval than the line says.

    Nothing else loses more than layers do together.
    """
    chance = random.Random(6)
    interval = (("l1", "channel", "a"), 3)
    signs, drops = [], []
    for _ in range(50):
        place = chance.random()
        item = dataclasses.replace(
            any_signs(chance), between={interval: (place, 0.1)}, coherence=1.0
        )
        signs.append(item)
        drops.append(item.together[0] + 0.03 * (1 - abs(2 * place - 1)))

    def error(known: Sequence[Signs]) -> float:
        taught = Calibration(known, drops[: len(known)])
        found = [taught.predict(item, confidence=0.9)[0] for item in signs[30:]]
        return float(np.median([abs(a - b) for a, b in zip(found, drops[30:], strict=True)]))

    elsewhere = [dataclasses.replace(item, between={}) for item in signs[:30]]
    assert error(signs[:30]) < 0.4 * error(elsewhere)


@pytest.mark.parametrize("coherence", [0.6, 1.0])
def test_without_measured_plans_the_guess_stands(coherence: float) -> None:
    """Of layers that move outputs each in its own way, or against each other."""
    asked = dataclasses.replace(any_signs(random.Random(1)), coherence=coherence)
    drop, low, high = Calibration().predict(asked, confidence=0.9)
    assert drop == pytest.approx(asked.together[0])
    assert low < drop < high


def test_layers_that_move_outputs_the_same_way_are_expected_to_lose_more() -> None:
    asked = any_signs(random.Random(1))
    drops = [
        Calibration().predict(dataclasses.replace(asked, coherence=value), confidence=0.9)[0]
        for value in (1.0, 1.3, 1.6)
    ]
    assert drops[0] < drops[1] < drops[2]
    assert scaled(np.array(drops[2:]))[0] == pytest.approx(
        expected_of(dataclasses.replace(asked, coherence=1.6))
    )


def test_the_scale_has_an_inverse() -> None:
    drops = np.linspace(-0.3, 1, 27)
    np.testing.assert_allclose(unscaled(scaled(drops)), drops, atol=1e-12)
