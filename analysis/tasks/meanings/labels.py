"""The F1 score over all labels of all samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.tasks.meanings.grouped import Floats
from analysis.tasks.meanings.ratios import SumRatio, divided
from analysis.tasks.scoring import Metric, Words


class MicroF1(SumRatio):
    """Twice the labels that are rightly given over those given and those there.

    By group: labels rightly given, wrongly given and missed. Extras: samples whose labels are all
    right, samples with the dense model's labels, and the loss.
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
    extras = ("exact", "agreement", "loss")
    same = "agreement"
    columns = ("exact", "agreement", "loss")
    metrics: Mapping[str, Metric] = {
        "exact": Metric("exact", "", "", "exact matches", "%", 100.0),
        "agreement": Metric("agreement", "", "", "same labels as dense", "%", 100.0),
        "loss": Metric("loss", "", "", "loss", "nats", 1.0),
    }

    def value(self, shared: Floats, own: Floats) -> Floats:
        """Return F1; 1 where no label is there or given."""
        hits, false, missed = np.moveaxis(own, -1, 0)
        return np.nan_to_num(divided(2 * hits, 2 * hits + false + missed), nan=1.0)


MICRO_F1 = MicroF1()
