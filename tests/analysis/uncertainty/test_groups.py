"""Intervals from groups: against the delta method, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.records import SliceCounts, Sums
from analysis.tasks import COSINE, MEAN_OVERLAP, PERPLEXITY
from analysis.uncertainty import GROUPS, BoundedTest, LooksTest, level, t_interval

CLASSES = 4


def summed(table: np.ndarray, names: list[str], groups: np.ndarray, **more: float) -> Sums:
    """Add the terms of samples ``(N, terms)`` up by group."""
    by_group = np.zeros((GROUPS, table.shape[1]))
    np.add.at(by_group, groups, table)
    terms = {
        f"{name}/{group:02}": by_group[group, at]
        for group in range(GROUPS)
        for at, name in enumerate(names)
    }
    return Sums(samples=len(table), terms=terms | more)


def images(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw pixels of classes, and what two models make of them: both get hard images wrong."""
    hard = rng.beta(2, 5, size=(count, 1))
    there = rng.multinomial(200, [0.6, 0.2, 0.15, 0.05], size=count)
    columns = [np.ones((count, 1)), there]
    for quality in (1.0, 0.9):
        both = rng.binomial(there, quality * (1 - hard))
        wrong = rng.multinomial(1, [0.25] * CLASSES, size=count) * (there - both).sum(1)[:, None]
        columns += [both + wrong, both]
    return np.concatenate(columns, 1).astype(float)


IMAGE_NAMES = [
    "n",
    *(f"class{at}" for at in range(CLASSES)),
    *(
        f"{model}{what}{at}"
        for model in ("dense_", "")
        for what in ("given", "both")
        for at in range(CLASSES)
    ),
]


def overlap(table: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Return the mIoU of both models, and each image's influence on the drop (delta method)."""
    count = len(table)
    there, *rest = np.split(table[:, 1:], 5, axis=1)
    values, influences = [], []
    for given, both in (rest[:2], rest[2:]):
        union = there + given - both
        shares = both.sum(0) / union.sum(0)
        influences.append(((both - shares * union) / (union.sum(0) / count)).mean(1))
        values.append(float(shares.mean()))
    return values[0], values[1], influences[0] - influences[1]


def windows(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw tokens and losses of windows of unequal length."""
    tokens = rng.integers(20, 128, size=count).astype(float)
    dense = tokens * rng.gamma(9, 1 / 3, size=count)
    rise = tokens * (0.05 + 0.1 * rng.standard_t(5, size=count))
    zeros = np.zeros(count)
    return np.stack([np.ones(count), tokens, zeros, dense, zeros, dense + rise], 1)


WINDOW_NAMES = ["n", "tokens", "dense_right", "dense_nats", "right", "nats"]


def test_the_jackknife_is_near_the_delta_method() -> None:
    """Its standard error for mIoU has another derivation."""
    table = images(3200, np.random.default_rng(0))
    sums = summed(table, IMAGE_NAMES, np.arange(len(table)) % GROUPS)
    dense, pruned, influence = overlap(table)
    assert MEAN_OVERLAP.score(sums) == pytest.approx(pruned)
    assert MEAN_OVERLAP.drop(sums) == pytest.approx(dense - pruned)
    found = MEAN_OVERLAP.drop_interval(sums)
    error = influence.std(ddof=1) / math.sqrt(len(table))
    half = (found.high - found.low) / 2
    # An error from 32 groups is itself known to about an eighth.
    assert half / stats.t.ppf(0.975, GROUPS - 1) == pytest.approx(error, rel=0.3)
    assert found.method == "group-jackknife"


@pytest.mark.parametrize("count", [100, 500])
def test_coverage_of_the_jackknife(count: int) -> None:
    """Between 92 and 97.5 %, for mIoU and for perplexity."""
    rng = np.random.default_rng(1)
    dense, pruned, _ = overlap(images(200_000, rng))
    truths = {"images": dense - pruned, "windows": math.expm1(0.05)}
    held = dict.fromkeys(truths, 0)
    trials = 400
    for _ in range(trials):
        groups = np.arange(count) % GROUPS
        found = {
            "images": MEAN_OVERLAP.drop_interval(summed(images(count, rng), IMAGE_NAMES, groups)),
            "windows": PERPLEXITY.drop_interval(summed(windows(count, rng), WINDOW_NAMES, groups)),
        }
        for name, interval in found.items():
            held[name] += interval.low <= truths[name] <= interval.high
    # The Monte-Carlo error of a coverage is 1.1 points.
    assert all(0.92 <= hits / trials <= 0.975 for hits in held.values()), held


def test_coverage_of_means_with_and_without_documents() -> None:
    """Samples of a document are alike, and only groups tell that."""
    rng = np.random.default_rng(2)
    trials, documents, size = 400, 64, 5
    held = dict.fromkeys(("paired-t", "clustered-t", "as if alone"), 0)
    for _ in range(trials):
        single = rng.gamma(2, 0.5, size=documents * size) - 1
        own = t_interval(single.sum(), (single**2).sum(), len(single))
        held["paired-t"] += own.low <= 0 <= own.high
        drops = (rng.normal(size=(documents, 1)) + rng.normal(size=(documents, size))).ravel()
        of = np.repeat(np.arange(documents) % GROUPS, size)
        table = np.stack([np.ones_like(drops), drops, drops], 1)
        more = {"drop": drops.sum(), "drop2": (drops**2).sum()}
        for name, counted in (("clustered-t", len(drops)), ("as if alone", 0)):
            sums = summed(table, ["n", "score", "drop"], of, in_documents=counted, **more)
            found = COSINE.drop_interval(sums)
            held[name] += found.low <= 0 <= found.high
    assert all(0.92 <= held[name] / trials <= 0.975 for name in ("paired-t", "clustered-t")), held
    assert held["as if alone"] / trials < 0.8


@pytest.mark.parametrize("mean", [0.0095, 0.0105, 0.06])
def test_wrong_decisions_about_means_are_at_most_as_many_as_stated(mean: float) -> None:
    """Drops of any size within a bound, looked at eleven times."""
    rng, population, alpha = np.random.default_rng(3), 2200, 0.05
    right = "exceeds" if mean > 0.01 else "tolerated"
    wrong, early = 0, 0
    for _ in range(200):
        drops = rng.gamma(0.5, 0.04, size=population).clip(0, 0.2)
        drops += mean - drops.mean()
        test = BoundedTest(tolerance=0.01, bound=0.2, population=population, alpha=alpha)
        for part in np.split(drops, 11):
            test.update(SliceCounts(part.sum(), (part**2).sum(), len(part)))
        wrong += test.decision not in (None, right)
        early += test.decision == right and test.samples < population
    assert wrong / 200 <= alpha + 2 * 0.0154
    assert mean < 0.05 or early > 150
    assert test.adopt(mean, population) == right


def test_wrong_decisions_at_planned_looks_are_at_most_as_many_as_stated() -> None:
    """The jackknife at every look, each with its share of the error."""
    rng, alpha, looks = np.random.default_rng(4), 0.1, 8
    wrong = {0.99: 0, 1.01: 0}
    truth = math.expm1(0.05)
    for _ in range(150):
        table = windows(800, rng)
        for side in wrong:
            test, total = LooksTest(tolerance=truth * side), Sums()
            for part in np.split(np.arange(800), looks):
                sums = summed(table[part], WINDOW_NAMES, part % GROUPS)
                total += sums
                test.update(PERPLEXITY.look(sums, total, level(alpha, looks)))
            wrong[side] += test.decision == ("tolerated" if side < 1 else "exceeds")
    assert all(count / 150 <= alpha + 2 * 0.0245 for count in wrong.values()), wrong
