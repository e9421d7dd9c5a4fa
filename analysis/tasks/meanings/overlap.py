"""The mean over classes of intersection over union."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.records import Sums
from analysis.sentences import listed, plural
from analysis.tasks.meanings.grouped import Floats, Totals, ends_of
from analysis.tasks.meanings.ratios import SumRatio, divided
from analysis.tasks.scoring import Metric, Words


class MeanOverlap(SumRatio):
    """mIoU: intersection over union of each class on the whole set, then the mean over classes.

    Classes that no pixel of the set has are left out, for both models. By group and class: pixels
    that have it, pixels that are given it, and pixels of both. Extras: pixels that count, those
    answered as by the dense model, and their loss.
    """

    words = Words(
        label="mIoU",
        column="miou",
        drop_label="mIoU drop",
        drop_column="miou_drop",
        unit="%",
        drop_unit="pp",
        scale=100.0,
        worst=0.0,
        best=1.0,
    )
    has_positions = True
    answered = "pixels"
    shared = ("class*",)
    own = ("given*", "both*")
    extras = ("pixels", "same_pixels", "loss")
    columns = ends_of("pixel_accuracy", "dice", "agreement", "loss")
    metrics: Mapping[str, Metric] = {
        "pixel_accuracy": Metric(
            "pixel_accuracy",
            "pixel_accuracy_low",
            "pixel_accuracy_high",
            "pixel accuracy",
            "%",
            100.0,
        ),
        "dice": Metric("dice", "dice_low", "dice_high", "Dice", "%", 100.0),
        "agreement": Metric(
            "agreement", "agreement_low", "agreement_high", "same pixels as dense", "%", 100.0
        ),
        "loss": Metric("loss", "loss_low", "loss_high", "loss", "nats", 1.0),
    }

    def value(self, shared: Floats, own: Floats) -> Floats:
        """Return mIoU; NaN without pixels."""
        there, given, both = _parts(shared, own)
        return _mean(divided(both, there + given - both), there)

    def left_out(self, sums: Sums, names: Sequence[str]) -> str:
        """Return the classes that no pixel has."""
        there = self.grouped(sums).shared.sum(0)[1:]
        places = np.flatnonzero(there == 0).tolist()
        missing = [names[at] if at < len(names) else str(at) for at in places]
        if not missing:
            return ""
        what = plural(len(missing), "class", "classes")
        return f"{self.words.label} leaves out {what} that no pixel has: {listed(missing)}"

    def further(self, totals: Totals, *, has_labels: bool) -> Mapping[str, Floats]:
        """Return pixel accuracy, the mean Dice, agreement with dense and the loss of a pixel."""
        there, given, both = (totals.of_each(stem) for stem in ("class", "given", "both"))
        pixels = totals["pixels"]
        return {
            "pixel_accuracy": both.sum(1) / pixels,
            "dice": _mean(divided(2 * both, there + given), there),
            "agreement": totals["same_pixels"] / pixels,
            "loss": totals["loss"] / pixels,
        }


def _parts(shared: Floats, own: Floats) -> tuple[Floats, Floats, Floats]:
    given, both = np.split(own, 2, axis=-1)
    return shared[..., 1:], given, both


def _mean(values: Floats, there: Floats) -> Floats:
    """Return the mean over classes that are there."""
    has = there > 0
    return divided(np.where(has, values, 0.0).sum(-1), has.sum(-1).astype(np.float64))


MEAN_OVERLAP = MeanOverlap()
