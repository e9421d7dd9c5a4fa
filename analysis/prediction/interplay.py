"""What measured plans teach of outputs: how layers act on each other, sample by sample.

Outputs of layers pruned together differ from those of `together` by what pairs and triples of
layers do to each other, and by what curves do between their points. Both are taken for Gaussian
processes over plans, alike for all outputs. Two plans are alike in a layer as far as what it
changes in them points the same way, `k_i`; by pairs and triples, as far as all of their layers are:

    covariance = sum_{i<j} k_i k_j + sum_{i<j<l} k_i k_j k_l,

and of two plans that prune a layer in the same interval of a curve by that of a Brownian bridge.
The outputs of measured plans then tell what the differences of others are expected to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.prediction.curves import CurveName, Curves, Products
from analysis.prediction.superposition import centred

# Variances of what triples do, and curves between two points, in those of what pairs do.
TRIPLES, STRAY = 3.0, 0.3
# Of each variance, what plans do not have in common with any other; and of any plan.
OWN, LEAST = 0.03, 1e-7
# Variances of a subject are as large as expected with the weight of so many measured plans.
PRIOR = 5.0
# Few samples are as far off as the root mean square says.
TYPICAL = 0.75


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a plan is on the curves of its layers.

    Attributes:
        at: By curve, the place of the point at the upper end of its interval, and how far the plan
            is from the lower to the upper end, 0..1.
        outputs: What its layers are expected to give together, ``(N, K)``.
    """

    at: tuple[tuple[CurveName, int, float], ...]
    outputs: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """What is to be added to outputs, and how far they are off then.

    Attributes:
        outputs: ``(N, K)``.
        spread: Standard deviation, ``(1, 1)``.
        known: Correlation of what is told with what a plan differs by, 0..1.
    """

    outputs: Tensor
    spread: Tensor
    known: float


class Interplay:
    """Outputs of plans, learnt from measured ones.

    Args:
        curves: The curves.
        products: Of what they change.
        places: Where measured plans are.
        outputs: What they gave, ``(N, K)`` each.
    """

    def __init__(
        self,
        curves: Curves,
        products: Products,
        places: Sequence[Place],
        outputs: Sequence[Tensor],
    ) -> None:
        self._products = products
        self._shape = curves.dense.shape
        left = [
            (centred(found) - place.outputs).flatten()
            for place, found in zip(places, outputs, strict=True)
        ]
        self._left = torch.stack(left) if left else torch.zeros(0, curves.dense.numel())
        self._rows = _rows(places, products)
        shared = _shared(self._rows, self._rows, products)
        self._whole = (1 + OWN) * np.diag(shared) + LEAST
        np.fill_diagonal(shared, self._whole)
        self._inverse = np.linalg.inv(shared)
        flat = self._left.double()
        squares = (flat @ flat.T).numpy() / (self._left.shape[1] * products.size)
        misfit = float((self._inverse * squares).sum())
        self._size = (PRIOR + misfit) / (PRIOR + len(left))

    def of(self, place: Place) -> Correction:
        """Return what is expected of a plan that none of the measured ones is."""
        rows = _rows([place], self._products)
        shared = _shared(rows, self._rows, self._products)[0]
        own = float(_shared(rows, rows, self._products)[0, 0])
        weights = shared @ self._inverse
        whole = (1 + OWN) * own + LEAST
        return self._correction(weights, whole, whole - float(weights @ shared))

    def without(self, number: int) -> Correction:
        """Return what the other ones say of a measured plan (the inverse tells it at once)."""
        row = self._inverse[number]
        weights = -row / row[number]
        weights[number] = 0.0
        return self._correction(weights, float(self._whole[number]), 1 / float(row[number]))

    def _correction(self, weights: np.ndarray, whole: float, variance: float) -> Correction:
        outputs = (torch.from_numpy(weights).float() @ self._left).view(self._shape)
        spread = TYPICAL * np.sqrt(max(variance, 0.0) * self._size * self._products.size)
        known = float(np.sqrt(min(max(1 - variance / whole, 0.0), 1.0)))
        return Correction(outputs, torch.full((1, 1), float(spread)), known)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Plans as weights of the points of a layer, ``(plans, points)``.

    Attributes:
        weights: Of the points.
        steps: By interval of a curve the plans in it, ``(3, n)``: their numbers, how far they are
            from the lower to the upper end, and how far apart the changes of the ends are.
    """

    weights: np.ndarray
    steps: dict[tuple[CurveName, int], np.ndarray]


def _rows(places: Sequence[Place], products: Products) -> dict[str, _Rows]:
    """Return plans by layer."""
    layers = sorted({name[-1] for place in places for name, _, _ in place.at})
    return {layer: _row(layer, places, products) for layer in layers}


def _row(layer: str, places: Sequence[Place], products: Products) -> _Rows:
    first, found = products.of(layer)
    weights = np.zeros((len(places), len(found)))
    steps: dict[tuple[CurveName, int], list[tuple[int, float, float]]] = {}
    for number, place in enumerate(places):
        for name, interval, weight in place.at:
            if name[-1] == layer:
                low = first[name] + interval
                weights[number, low : low + 2] = 1 - weight, weight
                ends = found[low : low + 2, low : low + 2]
                step = np.sqrt(max(float(np.trace(ends)) - 2 * float(ends[0, 1]), 0.0))
                steps.setdefault((name, interval), []).append((number, weight, step))
    return _Rows(weights, {key: np.array(rows).T for key, rows in steps.items()})


def _shared(one: dict[str, _Rows], other: dict[str, _Rows], products: Products) -> np.ndarray:
    """Return covariances of what plans have in common, ``(plans of one, plans of the other)``."""
    size = tuple(
        max((len(item.weights) for item in rows.values()), default=0) for rows in (one, other)
    )
    powers, between = np.zeros((3, *size)), np.zeros(size)
    for layer in one.keys() & other.keys():
        first, second = one[layer], other[layer]
        alike = first.weights @ products.of(layer)[1] @ second.weights.T
        powers += [alike, alike**2, alike**3]
        for key in first.steps.keys() & second.steps.keys():
            here, where, by = first.steps[key]
            there, place, step = second.steps[key]
            common = np.minimum.outer(where, place) - np.outer(where, place)
            between[np.ix_(here.astype(int), there.astype(int))] += common * np.outer(by, step)
    # Newton's identities: sums of products of two and of three from sums of powers.
    pairs = (powers[0] ** 2 - powers[1]) / 2
    triples = (powers[0] ** 3 - 3 * powers[0] * powers[1] + 2 * powers[2]) / 6
    found: np.ndarray = pairs + TRIPLES * triples + STRAY * between
    return found
