"""The F1 score over all labels of all samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.tasks.meanings.grouped import Floats, Totals, ends_of
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
    columns = ends_of("exact", "agreement", "loss", "macro_f1")
    metrics: Mapping[str, Metric] = {
        "exact": Metric("exact", "exact_low", "exact_high", "exact matches", "%", 100.0),
        "agreement": Metric(
            "agreement", "agreement_low", "agreement_high", "same labels as dense", "%", 100.0
        ),
        "loss": Metric("loss", "loss_low", "loss_high", "loss", "nats", 1.0),
        "macro_f1": Metric("macro_f1", "macro_f1_low", "macro_f1_high", "macro F1", "%", 100.0),
    }

    def value(self, shared: Floats, own: Floats) -> Floats:
        """Return F1; 1 where no label is there or given."""
        hits, false, missed = np.moveaxis(own, -1, 0)
        return np.nan_to_num(divided(2 * hits, 2 * hits + false + missed), nan=1.0)

    def further(self, totals: Totals, *, has_labels: bool) -> Mapping[str, Floats]:
        """Return means over samples, and the mean of the labels' own F1.

        Labels that no sample has or is given are left out.
        """
        hits, false, missed = (
            totals.of_each(f"label_{stem}") for stem in ("hits", "false", "missed")
        )
        each = divided(2 * hits, 2 * hits + false + missed)
        known = ~np.isnan(each)
        mean = divided(np.nan_to_num(each).sum(1), known.sum(1).astype(np.float64))
        return {**super().further(totals, has_labels=has_labels), "macro_f1": mean}


MICRO_F1 = MicroF1()
