"""The F1 score over all labels of all samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.records import Sums
from analysis.tasks.meanings.grouped import Floats
from analysis.tasks.meanings.ratios import SumRatio, divided
from analysis.tasks.scoring import Metric, Words


class MicroF1(SumRatio):
    """Twice the labels that are rightly given over those given and those there.

    By group: labels rightly given, wrongly given and missed. Extras: samples whose labels are all
    right, samples with the dense model's labels, the loss, and of each label the samples that it
    is rightly given, wrongly given, and not given where it is there.
    """

    words = Words(
        label="micro F1",
        column="f1",
        drop_label="F1 drop",
        drop_column="f1_drop",
        unit="%",
        drop_unit="pp",
        scale=100.0,
        worst=0.0,
        best=1.0,
    )
    own = ("hits", "false", "missed")
    extras = ("exact", "agreement", "loss", "label_hits*", "label_false*", "label_missed*")
    same = "agreement"
    columns = ("exact", "agreement", "loss", "macro_f1")
    metrics: Mapping[str, Metric] = {
        "exact": Metric("exact", "", "", "exact matches", "%", 100.0),
        "agreement": Metric("agreement", "", "", "same labels as dense", "%", 100.0),
        "loss": Metric("loss", "", "", "loss", "nats", 1.0),
        "macro_f1": Metric("macro_f1", "", "", "macro F1", "%", 100.0),
    }

    def value(self, shared: Floats, own: Floats) -> Floats:
        """Return F1; 1 where no label is there or given."""
        hits, false, missed = np.moveaxis(own, -1, 0)
        return np.nan_to_num(divided(2 * hits, 2 * hits + false + missed), nan=1.0)

    def values(self, sums: Sums, dense: Sums | None, *, has_labels: bool) -> dict[str, float]:
        """Return means over samples, and the mean of the labels' own F1.

        Labels that no sample has or is given are left out.
        """
        found = super().values(sums, dense, has_labels=has_labels)
        hits, false, missed = (
            np.array([value for name, value in sums.terms.items() if name.startswith(stem)])
            for stem in ("label_hits", "label_false", "label_missed")
        )
        each = divided(2 * hits, 2 * hits + false + missed)
        return found if np.isnan(each).all() else found | {"macro_f1": float(np.nanmean(each))}


MICRO_F1 = MicroF1()
