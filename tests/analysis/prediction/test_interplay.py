"""What measured plans teach of outputs, against the conditional distribution written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from analysis.prediction.curves import Curves, Products
from analysis.prediction.interplay import Interplay, Place
from analysis.prediction.superposition import centred
from analysis.tasks import CLASSIFICATION
from tests.analysis.prediction.test_forecast import RATIOS, points, probe

CURVES = Curves(points(), probe(), CLASSIFICATION)
SIZE = float(centred(CURVES.dense).square().mean())


def place(**at: float) -> Place:
    """Return a plan by how many points each layer is along its curve, such as 1.5."""
    rows = []
    for layer, along in at.items():
        interval = min(int(along), len(RATIOS) - 1)
        rows.append((("l1", "channel", layer), interval, along - interval))
    generator = torch.Generator().manual_seed(len(rows))
    outputs = CURVES.dense + torch.randn(CURVES.dense.shape, generator=generator)
    return Place(tuple(rows), centred(outputs))


def change(layer: str, along: float) -> np.ndarray:
    curve = CURVES.get(("l1", "channel", layer))
    assert curve is not None
    ends = [np.zeros(CURVES.dense.shape), *(item.double().numpy() for item in curve.changes)]
    low = min(int(along), len(RATIOS) - 1)
    found = ends[low] * (low + 1 - along) + ends[low + 1] * (along - low)
    return found - found.mean(1, keepdims=True)


def covariance(one: dict[str, float], other: dict[str, float]) -> float:
    """Term by term: pairs, triples, and the bridge of an interval."""
    alike = {
        layer: float((change(layer, one[layer]) * change(layer, other[layer])).mean()) / SIZE
        for layer in one.keys() & other.keys()
    }
    total = sum(alike[a] * alike[b] for a, b in itertools.combinations(alike, 2))
    total += 3 * sum(alike[a] * alike[b] * alike[c] for a, b, c in itertools.combinations(alike, 3))
    for layer in alike:
        low = min(int(one[layer]), len(RATIOS) - 1)
        if low == min(int(other[layer]), len(RATIOS) - 1):
            first, second = one[layer] - low, other[layer] - low
            step = ((change(layer, low) - change(layer, low + 1)) ** 2).mean() / SIZE
            total += 0.3 * step * (min(first, second) - first * second)
    return total


PLANS: list[dict[str, float]] = [
    {"a": 1.0, "b": 2.0},
    {"a": 1.5, "b": 0.75, "c": 3.0},
    {"a": 1.25, "c": 2.0},
    {"b": 2.5, "c": 0.5},
    {"a": 3.0, "b": 1.0, "c": 1.0},
]


def test_outputs_are_those_of_the_conditional_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = [CURVES.dense + torch.randn(CURVES.dense.shape, generator=generator) for _ in PLANS]
    places = [place(**item) for item in PLANS]
    asked: dict[str, float] = {"a": 1.4, "b": 1.9, "c": 2.2}
    found = Interplay(CURVES, Products(CURVES), places, outputs).of(place(**asked))

    own = np.array([[covariance(one, other) for other in PLANS] for one in PLANS])
    noisy = own + np.diag(0.03 * np.diag(own) + 1e-7)
    shared = np.array([covariance(asked, item) for item in PLANS])
    weights = np.linalg.solve(noisy, shared)
    left = np.stack(
        [
            (centred(item) - at.outputs).flatten().double().numpy()
            for item, at in zip(outputs, places, strict=True)
        ]
    )
    expected = (weights @ left).reshape(CURVES.dense.shape)
    np.testing.assert_allclose(found.outputs.numpy(), expected, atol=1e-4)
    variance = 1.03 * covariance(asked, asked) + 1e-7 - shared @ weights
    misfit = sum(float(column @ np.linalg.solve(noisy, column)) for column in left.T) / (
        left.shape[1] * SIZE
    )
    scale = (5 + misfit) / (5 + len(PLANS))
    whole = 1.03 * covariance(asked, asked) + 1e-7
    assert found.known == pytest.approx((1 - variance / whole) ** 0.5, rel=1e-4)
    assert float(found.spread) == pytest.approx(0.75 * (variance * scale * SIZE) ** 0.5, rel=1e-4)


def test_a_plan_left_out_is_as_if_it_had_not_been_measured() -> None:
    places = [place(**item) for item in PLANS]
    generator = torch.Generator().manual_seed(0)
    outputs = [CURVES.dense + torch.randn(CURVES.dense.shape, generator=generator) for _ in PLANS]
    products = Products(CURVES)
    whole = Interplay(CURVES, products, places, outputs)
    for number in range(len(PLANS)):
        rest = [at for at in range(len(PLANS)) if at != number]
        without = Interplay(
            CURVES, products, [places[at] for at in rest], [outputs[at] for at in rest]
        )
        found, expected = whole.without(number), without.of(places[number])
        torch.testing.assert_close(found.outputs, expected.outputs, atol=1e-4, rtol=1e-4)
        assert found.known == pytest.approx(expected.known, rel=1e-4)
        # How large variances are beside what is expected is told by all of them.
        ratio = float(found.spread / expected.spread)
        assert ratio == pytest.approx((whole._size / without._size) ** 0.5, rel=1e-4)
