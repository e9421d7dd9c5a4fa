"""The share of right answers: its interval, its paired drop, its words. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.records import SliceCounts, Sums
from analysis.tasks.scoring import Metric, Scoring, Words
from analysis.uncertainty import (
    DropTest,
    Interval,
    SequentialTest,
    paired_drop,
    paired_drops,
    wilson,
)

COUNTS = ("correct", "gained", "lost", "agree")


class RightAnswers(Scoring):
    """The score of classification.

    Terms: right answers, answers gained and lost against dense, answers equal to dense, the
    cross-entropy (0 without labels), and KL(dense || pruned) of the softmax outputs in nats.
    """

    terms: tuple[str, ...] = (*COUNTS, "loss", "kl")
    words = Words(
        label="accuracy",
        column="accuracy",
        drop_label="accuracy drop",
        drop_column="accuracy_drop",
        unit="%",
        drop_unit="pp",
        scale=100.0,
        worst=0.0,
        best=1.0,
    )
    right = "correct"
    same = "agree"
    columns: tuple[str, ...] = ("loss", "loss_delta", "kl", "agreement")
    metrics: Mapping[str, Metric] = {
        "loss": Metric("loss_delta", "", "", "loss increase", "nats", 1.0, is_cost=True),
        "kl": Metric("kl", "", "", "KL divergence from dense", "nats", 1.0, is_cost=True),
        "agreement": Metric("agreement", "", "", "same answer as dense", "%", 100.0),
    }

    def sums(self, row: Sequence[float], *, seconds: float = 0.0) -> Sums:
        """Turn the values of one `Task.vector` into a record: samples, counts, other terms."""
        samples, *counts = (int(value) for value in row[:5])
        terms = dict(zip(self.terms, (*counts, *row[5:]), strict=True))
        return Sums(samples=samples, seconds=seconds, terms=terms)

    def score(self, sums: Sums) -> float:
        """Return the fraction of right top-1 answers; NaN without samples."""
        return sums["correct"] / sums.samples if sums.samples else float("nan")

    def score_interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        """Return Wilson's interval of the accuracy."""
        return wilson(sums.count("correct"), sums.samples, confidence)

    def drop(self, sums: Sums) -> float:
        """Return the accuracy lost against the dense model, a fraction; NaN without samples."""
        return (sums["lost"] - sums["gained"]) / sums.samples if sums.samples else float("nan")

    def drop_interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        """Return Tango's paired interval of the drop."""
        lost, gained = sums.count("lost"), sums.count("gained")
        return paired_drop(lost, gained, sums.samples, confidence)[1]

    def drops(
        self, sums: Sequence[Sums], confidence: float = 0.95
    ) -> list[tuple[float, float, float]]:
        """Return drops with their intervals, all at once."""
        rows = [(item.count("lost"), item.count("gained"), item.samples) for item in sums]
        lost, gained, samples = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        found = paired_drops(lost, gained, samples, confidence=confidence)
        return list(zip(*(values.tolist() for values in found), strict=True))

    def look(self, part: Sums, total: Sums, confidence: float) -> SliceCounts:
        """Return answers lost and gained."""
        return SliceCounts(part.count("lost"), part.count("gained"), part.samples)

    def test(self, *, tolerance: float, population: int, alpha: float) -> SequentialTest:
        """Return the test of flipped answers."""
        return DropTest(tolerance=tolerance, population=population, alpha=alpha)

    def values(
        self, sums: Sums, dense: Sums | None, *, has_labels: bool, confidence: float = 0.95
    ) -> dict[str, float]:
        """Return loss, its increase, divergence and agreement, each a mean over samples."""
        samples = sums.samples
        found = {"kl": sums["kl"] / samples, "agreement": sums["agree"] / samples}
        if has_labels:
            found["loss"] = sums["loss"] / samples
            if dense is not None:
                found["loss_delta"] = (sums["loss"] - dense["loss"]) / samples
        return found


RIGHT_ANSWERS = RightAnswers()
