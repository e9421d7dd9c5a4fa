"""F1 of boxes: those that are given and overlap one that is there by half at least."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.records import Sums
from analysis.tasks.meanings.grouped import Floats, Totals, ends_of
from analysis.tasks.meanings.ratios import GroupSums, SumRatio, divided
from analysis.tasks.scoring import Metric, Words

# Boxes count from a score on; how many do is summed for each of these.
SCORES = tuple(step / 10 for step in range(1, 10))


class DetectedBoxes(SumRatio):
    """F1 at IoU 0.5: twice the boxes rightly given over those given and those there.

    Boxes count from that score on, of 0.1 to 0.9, at which F1 of the dense model is largest: the
    same one for both models, for intervals and for all groups. By group: boxes there, and boxes
    given and rightly given from each score on.
    """

    words = Words(
        label="F1 at IoU 0.5",
        column="f1",
        drop_label="F1 drop",
        drop_column="f1_drop",
        unit="%",
        drop_unit="pp",
        scale=100.0,
        worst=0.0,
        best=1.0,
        agreement="F1 is that of the pruned model's boxes against the dense model's",
    )
    shared = ("boxes",)
    own = ("given*", "hits*")
    columns = (*ends_of("precision", "recall"), "from_score")
    metrics: Mapping[str, Metric] = {
        "precision": Metric(
            "precision", "precision_low", "precision_high", "precision of boxes", "%", 100.0
        ),
        "recall": Metric("recall", "recall_low", "recall_high", "recall of boxes", "%", 100.0),
    }

    def grouped(self, sums: Sums) -> GroupSums:
        """Return the sums by group, from the score on that suits the dense model best."""
        found = super().grouped(sums)
        place = self._place(found)
        ends = [place, place + len(SCORES)]
        return GroupSums(found.shared, found.dense[:, ends], found.pruned[:, ends])

    def _place(self, found: GroupSums) -> int:
        given, hits = np.split(found.dense.sum(0), 2)
        f1 = divided(2 * hits, given + found.shared[:, 1].sum())
        return int(np.argmax(np.nan_to_num(f1)))

    def value(self, shared: Floats, own: Floats) -> Floats:
        """Return F1; 1 where no box is there or given."""
        given, hits = np.moveaxis(own, -1, 0)
        return np.nan_to_num(divided(2 * hits, given + shared[..., 1]), nan=1.0)

    def further(self, totals: Totals, *, has_labels: bool) -> Mapping[str, Floats]:
        """Return precision and recall, and the score from which on boxes count."""
        there = totals["boxes"]
        f1 = divided(
            2 * totals.of_each("dense_hits")[0], totals.of_each("dense_given")[0] + there[0]
        )
        place = int(np.argmax(np.nan_to_num(f1)))
        given, hits = (totals.of_each(stem)[:, place] for stem in ("given", "hits"))
        return {
            "precision": divided(hits, given),
            "recall": divided(hits, there),
            "from_score": np.full_like(there, SCORES[place]),
        }


DETECTED_BOXES = DetectedBoxes()
