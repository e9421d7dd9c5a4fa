"""Right answers of one logit a sample, and the area under its ROC curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.records import Sums
from analysis.tasks.meanings.right_answers import RIGHT_ANSWERS, RightAnswers
from analysis.tasks.scoring import Metric

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
    columns = (*RightAnswers.columns, "auc")
    metrics: Mapping[str, Metric] = {
        **RightAnswers.metrics,
        "auc": Metric("auc", "", "", "AUC", "%", 100.0),
    }

    def sums(self, row: Sequence[float], *, seconds: float = 0.0) -> Sums:
        """Turn the values of one `Task.vector` into a record; samples in bins are counts."""
        first = 1 + len(RightAnswers.terms)
        found = RIGHT_ANSWERS.sums(row[:first], seconds=seconds)
        bins = dict(zip((*_YES, *_NO), map(int, row[first:]), strict=True))
        return Sums(samples=found.samples, seconds=seconds, terms={**found.terms, **bins})

    def values(self, sums: Sums, dense: Sums | None, *, has_labels: bool) -> dict[str, float]:
        """Return what right answers have, and AUC if there is a pair."""
        found = super().values(sums, dense, has_labels=has_labels)
        yes, no = (
            np.array([sums.terms.get(name, 0) for name in names], dtype=np.float64)
            for names in (_YES, _NO)
        )
        if pairs := yes.sum() * no.sum():
            below = np.cumsum(no) - no / 2
            found["auc"] = float((yes * below).sum() / pairs)
        return found


YES_OR_NO = YesOrNo()
