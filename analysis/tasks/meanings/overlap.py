"""The mean over classes of intersection over union."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.records import ClassChange, Sums
from analysis.sentences import listed, plural
from analysis.tasks.meanings.grouped import Floats, Totals, ends_of
from analysis.tasks.meanings.ratios import SumRatio, divided, without_each
from analysis.tasks.scoring import Metric, Words
from analysis.uncertainty import group_jackknife


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
    of_class = "IoU"
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
        return _mean(_overlaps(shared, own), shared[..., 1:])

    def left_out(self, sums: Sums, names: Sequence[str]) -> str:
        """Return the classes that no pixel has."""
        there = self.grouped(sums).shared.sum(0)[1:]
        places = np.flatnonzero(there == 0).tolist()
        missing = [names[at] if at < len(names) else str(at) for at in places]
        if not missing:
            return ""
        what = plural(len(missing), "class", "classes")
        return f"{self.words.label} leaves out {what} that no pixel has: {listed(missing)}"

    def class_changes(
        self, sums: Sums, names: Sequence[str], confidence: float = 0.95
    ) -> tuple[ClassChange, ...]:
        """Return the IoU of each class that some pixel has, with intervals by the group jackknife.

        The samples of a class are its pixels.
        """
        found = self.grouped(sums)
        models, shared = (found.dense, found.pruned), found.shared.sum(0)
        before, after = (_overlaps(shared, own.sum(0)) for own in models)
        rest = without_each(found.shared)
        first, second = (_overlaps(rest, without_each(own)) for own in models)
        rows = []
        for place in np.flatnonzero(shared[1:]).tolist():
            change, sizes = float(after[place] - before[place]), found.shared[:, 0]
            without = (second - first)[:, place]
            interval = group_jackknife(change, without, sizes, confidence)
            rows.append(
                ClassChange(
                    class_name=names[place] if place < len(names) else str(place),
                    samples=int(shared[1 + place]),
                    dense=float(before[place]),
                    pruned=float(after[place]),
                    change=change,
                    change_low=interval.low,
                    change_high=interval.high,
                    clear=interval.low > 0 or interval.high < 0,
                )
            )
        return tuple(rows)

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


def _overlaps(shared: Floats, own: Floats) -> Floats:
    """Return the IoU of each class ``(..., classes)``."""
    there, given, both = _parts(shared, own)
    return divided(both, there + given - both)


def _mean(values: Floats, there: Floats) -> Floats:
    """Return the mean over classes that are there."""
    has = there > 0
    return divided(np.where(has, values, 0.0).sum(-1), has.sum(-1).astype(np.float64))


MEAN_OVERLAP = MeanOverlap()
