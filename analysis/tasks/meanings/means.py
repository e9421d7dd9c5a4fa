"""A score that is a mean over samples: paired differences, by document where there are any."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.records import SliceCounts, Sums
from analysis.tasks.meanings.grouped import Totals, by_group, ends_of, group_terms, with_ends
from analysis.tasks.scoring import Metric, Scoring, Words
from analysis.uncertainty import (
    BoundedTest,
    Interval,
    SequentialTest,
    clustered_mean,
    t_interval,
)
from pruners.errors import InputError

# Drops that are larger than so many usual tolerances are clipped for sequential tests.
TOLERANCES = 20


class SampleMean(Scoring):
    """The mean of a number a sample, the higher the better.

    Terms: the numbers and their squares; the drops, their squares, and both of drops clipped at
    `bound`; how many samples belong to documents; numbers, drops and `extras` by group.
    """

    extras: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    own = ("score", "score2", "drop", "drop2", "clipped", "clipped2", "in_documents")
    stems = ("n", "score", "drop")

    def __init__(self) -> None:
        self.terms = (*self.own, *group_terms((*self.stems, *self.extras)))

    @property
    def bound(self) -> float:
        """Largest drop of a sample that sequential tests take as it is."""
        return TOLERANCES * self.words.tolerance

    def score(self, sums: Sums) -> float:
        """Return the mean; NaN without samples."""
        return sums["score"] / sums.samples if sums.samples else float("nan")

    def score_interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        """Return Student's interval of the mean, by group where samples belong to documents."""
        return self._interval(sums, "score", confidence)

    def drop(self, sums: Sums) -> float:
        """Return the mean of the drops; NaN without samples."""
        return sums["drop"] / sums.samples if sums.samples else float("nan")

    def drop_interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        """Return Student's interval of the mean drop, by group where samples are of documents."""
        return self._interval(sums, "drop", confidence)

    def _interval(self, sums: Sums, name: str, confidence: float) -> Interval:
        if not sums.samples or not sums["in_documents"]:
            squares = sums.terms.get(f"{name}2", 0.0)
            return t_interval(sums.terms.get(name, 0.0), squares, sums.samples, confidence)
        sizes, totals = by_group(sums, ("n", name)).T
        return clustered_mean(totals, sizes, confidence)

    def look(self, part: Sums, total: Sums, confidence: float) -> SliceCounts:
        """Return sum and sum of squares of the clipped drops."""
        return SliceCounts(part["clipped"], part["clipped2"], part.samples)

    def test(self, *, tolerance: float, population: int, alpha: float) -> SequentialTest:
        """Return the test of clipped drops.

        Raises:
            InputError: The tolerance is so large that clipping would decide.
        """
        if tolerance > self.bound / 2:
            raise InputError(
                f"adaptive mode clips the drop of a sample at {self.words.limit(self.bound)} and "
                f"decides on tolerances up to half of it, found {self.words.limit(tolerance)}; "
                "take the exhaustive mode"
            )
        return BoundedTest(
            tolerance=tolerance, bound=self.bound, population=population, alpha=alpha
        )

    def values(
        self, sums: Sums, dense: Sums | None, *, has_labels: bool, confidence: float = 0.95
    ) -> dict[str, float]:
        """Return the means of the extras, with Student's intervals by group."""
        totals = Totals(sums)
        found: dict[str, float] = {}
        for name in (item for item in self.extras if item in self.columns):
            everything, *without = totals[name]
            parts = everything - np.array(without)
            interval = clustered_mean(parts, totals.sizes, confidence)
            found |= with_ends(name, float(everything) / sums.samples, interval)
        return found


class Cosine(SampleMean):
    """The cosine between the embeddings of both models, the mean over samples; dense has 1."""

    words = Words(
        label="cosine to dense",
        column="cosine",
        drop_label="cosine drop",
        drop_column="cosine_drop",
        digits=4,
        worst=-1.0,
        best=1.0,
        agreement="the score is the cosine to the dense model's embeddings, with or without them",
    )
    extras = ("distance",)
    columns = ends_of("distance")
    metrics: Mapping[str, Metric] = {
        "distance": Metric(
            "distance", "distance_low", "distance_high", "distance, relative to dense", "", 1.0
        )
    }


class PeakRatio(SampleMean):
    """PSNR of each image in dB, the mean over images; extra: their SSIM and squared error."""

    words = Words(
        label="PSNR",
        column="psnr",
        drop_label="PSNR drop",
        drop_column="psnr_drop",
        unit="dB",
        drop_unit="dB",
        digits=3,
        tolerance=0.1,
        agreement="PSNR is that of the pruned model's images against the dense model's",
    )
    has_positions = True
    extras = ("ssim", "mse")
    columns = ends_of("ssim", "mse")
    metrics: Mapping[str, Metric] = {
        "ssim": Metric("ssim", "ssim_low", "ssim_high", "SSIM", "", 1.0),
        "mse": Metric("mse", "mse_low", "mse_high", "mean squared error", "", 1.0),
    }


COSINE, PEAK_RATIO = Cosine(), PeakRatio()
