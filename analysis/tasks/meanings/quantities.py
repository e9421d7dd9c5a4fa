"""What imported numbers are: a score that another program wrote, without the counts behind it.

A file of another tool has the score of each point and no more, so there is no interval, no number
of right answers and no agreement with the dense model; what is not there is not made up.
"""

from __future__ import annotations

import math

from analysis.records import SliceCounts, Sums
from analysis.tasks.meanings.right_answers import RIGHT_ANSWERS
from analysis.tasks.scoring import Scoring, Words
from analysis.uncertainty import Interval, LooksTest, SequentialTest

_UNKNOWN = Interval(math.nan, math.nan, "none", 0)


class ImportedScore(Scoring):
    """A score that was read from a file; `Sums` of it have the terms ``score`` and ``drop``.

    Args:
        words: How it is written.
    """

    terms: tuple[str, ...] = ("score", "drop")

    def __init__(self, words: Words) -> None:
        self.words = words

    def score(self, sums: Sums) -> float:
        """Return the score, the higher the better."""
        return float(sums.terms.get("score", math.nan))

    def score_interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        """Return two NaN: no counts, no interval."""
        return _UNKNOWN

    def drop(self, sums: Sums) -> float:
        """Return the score lost against the dense model of the same file."""
        return float(sums.terms.get("drop", math.nan))

    def drop_interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        """Return two NaN."""
        return _UNKNOWN

    def look(self, part: Sums, total: Sums, confidence: float) -> SliceCounts:
        """Return counts of nothing: a sequential test needs samples."""
        return SliceCounts(0, 0, 0)

    def test(self, *, tolerance: float, population: int, alpha: float) -> SequentialTest:
        """Return a test that nothing is shown to."""
        return LooksTest(tolerance=tolerance)


IMPORTED_ACCURACY = ImportedScore(RIGHT_ANSWERS.words)
IMPORTED_LOSS = ImportedScore(
    Words(
        label="loss",
        column="loss",
        drop_label="loss increase",
        drop_column="loss_increase",
        scale=-1.0,
        digits=4,
    )
)
IMPORTED_PSNR = ImportedScore(
    Words(
        label="PSNR",
        column="psnr",
        drop_label="PSNR drop",
        drop_column="psnr_drop",
        unit="dB",
        drop_unit="dB",
        tolerance=0.1,
    )
)
