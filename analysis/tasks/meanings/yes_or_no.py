"""Right answers of one logit a sample, and the area under its ROC curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.records import Sums
from analysis.tasks.meanings.grouped import Floats, ends_of, with_ends
from analysis.tasks.meanings.right_answers import RIGHT_ANSWERS, RightAnswers
from analysis.tasks.scoring import Metric
from analysis.uncertainty import Interval, quantile

# Steps of a logit's place between surely no and surely yes.
BINS = 128
_YES, _NO = (
    tuple(f"{answer}@{place:03}" for place in range(BINS)) for answer in ("is_yes", "is_no")
)


class YesOrNo(RightAnswers):
    """The score of one logit: right answers; extra: how the logits of both answers lie.

    AUC, the share of pairs of a yes and a no of which the yes has the larger logit, is no sum over
    samples, but one of pairs of bins is. Pairs in one bin count half: AUC is off by half their
    share at most.
    """

    terms = (*RightAnswers.terms, *_YES, *_NO)
    columns = (*RightAnswers.columns, *ends_of("auc"))
    metrics: Mapping[str, Metric] = {
        **RightAnswers.metrics,
        "auc": Metric("auc", "auc_low", "auc_high", "AUC", "%", 100.0),
    }

    def sums(self, row: Sequence[float], *, seconds: float = 0.0) -> Sums:
        """Turn the values of one `Task.vector` into a record; samples in bins are counts."""
        first = 1 + len(RightAnswers.terms)
        found = RIGHT_ANSWERS.sums(row[:first], seconds=seconds)
        bins = dict(zip((*_YES, *_NO), map(int, row[first:]), strict=True))
        return Sums(samples=found.samples, seconds=seconds, terms={**found.terms, **bins})

    def values(
        self, sums: Sums, dense: Sums | None, *, has_labels: bool, confidence: float = 0.95
    ) -> dict[str, float]:
        """Return what right answers have, and AUC with its interval if there is a pair."""
        found = super().values(sums, dense, has_labels=has_labels, confidence=confidence)
        yes, no = (
            np.array([sums.terms.get(name, 0) for name in names], dtype=np.float64)
            for names in (_YES, _NO)
        )
        if yes.sum() and no.sum():
            found |= with_ends("auc", *_area(yes, no, confidence))
        return found


def _area(yes: Floats, no: Floats, confidence: float) -> tuple[float, Interval]:
    """Return AUC and its interval from samples by bin.

    E. DeLong et al., "Comparing the areas under two or more correlated receiver operating
    characteristic curves", Biometrics 44 (1988), equations 4 to 6: what share of all no lies below
    each yes, and of all yes above each no, each with its variance.
    """
    counts = (yes, no)
    shares = (
        (np.cumsum(no) - no / 2) / no.sum(),
        (yes.sum() - np.cumsum(yes) + yes / 2) / yes.sum(),
    )
    area = float((yes * shares[0]).sum() / yes.sum())
    samples = int(yes.sum() + no.sum())
    if min(yes.sum(), no.sum()) < 2:
        return area, Interval(math.nan, math.nan, "delong", samples)
    variance = sum(
        float((count * (share - area) ** 2).sum()) / (count.sum() - 1) / count.sum()
        for count, share in zip(counts, shares, strict=True)
    )
    half = quantile(confidence) * math.sqrt(variance)
    return area, Interval(max(0.0, area - half), min(1.0, area + half), "delong", samples)


YES_OR_NO = YesOrNo()
