"""Average precision over a whole set of images, and how chance of its images moves it.

COCO's: precision at 101 recalls, each the highest at that recall or above, the mean of them; then
the mean over classes that are there and over thresholds of overlap.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
RECALLS = np.linspace(0, 1, 101)
DRAWS = 200


def average_precision(found: Floats, there: Floats, weights: Floats | None = None) -> Floats:
    """Return the mean average precision by threshold ``(thresholds,)``; NaN without boxes.

    Args:
        found: Score, class and whether it is right at each threshold, of each box that a model
            gives, ``(N, D, 2 + thresholds)``; a score of 0 is none.
        there: Boxes of each class that are there ``(N, C)``.
        weights: How often each image counts ``(N,)``; once by default.
    """
    weights = np.ones(len(found)) if weights is None else weights
    return _mean(_ranked(found, there.shape[1]), there, weights, found.shape[2] - 2)


def bootstrapped(
    dense: Floats, pruned: Floats, there: Floats, *, seed: int = 0, draws: int = DRAWS
) -> Floats:
    """Return what pruning lost, by draw and threshold ``(draws, thresholds)``.

    Images are drawn with replacement, the same for both models.
    """
    generator = np.random.default_rng(seed)
    count, thresholds = len(dense), dense.shape[2] - 2
    ranked = [_ranked(item, there.shape[1]) for item in (dense, pruned)]
    lost = np.empty((draws, thresholds))
    for draw in range(draws):
        weights = np.bincount(generator.integers(count, size=count), minlength=count).astype(float)
        before, after = (_mean(item, there, weights, thresholds) for item in ranked)
        lost[draw] = before - after
    return lost


_Ranked = list[tuple[npt.NDArray[np.int64], Floats]]


def _ranked(found: Floats, classes: int) -> _Ranked:
    """Return images and hits of the boxes of each class, the highest score first."""
    images = np.repeat(np.arange(len(found)), found.shape[1])
    rows = found.reshape(-1, found.shape[2])
    is_box = rows[:, 0] > 0
    images, rows = images[is_box], rows[is_box]
    order = np.argsort(-rows[:, 0], kind="stable")
    images, rows = images[order], rows[order]
    chosen = [rows[:, 1] == number for number in range(classes)]
    return [(images[item], rows[item, 2:]) for item in chosen]


def _mean(ranked: _Ranked, there: Floats, weights: Floats, thresholds: int) -> Floats:
    totals = weights @ there
    parts = list(_precisions(ranked, totals, weights, thresholds))
    return np.mean(parts, axis=0) if parts else np.full(thresholds, np.nan)


def _precisions(
    ranked: _Ranked, totals: Floats, weights: Floats, thresholds: int
) -> Iterator[Floats]:
    """Yield the average precision of each class that is there, by threshold."""
    for (images, right), total in zip(ranked, totals, strict=True):
        if total <= 0:
            continue
        counts = weights[images]
        hits = np.cumsum(counts[:, None] * right, axis=0)
        given = np.cumsum(counts)
        has = given > 0
        precision = hits[has] / given[has][:, None]
        # The highest at this recall or above.
        precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        recall = hits[has] / total
        each = np.zeros(thresholds)
        for at in range(thresholds):
            places = np.searchsorted(recall[:, at], RECALLS, side="left")
            reached = places < len(recall)
            each[at] = precision[places[reached], at].sum() / len(RECALLS)
        yield each
