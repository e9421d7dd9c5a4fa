"""What a search is judged on: samples that nobody reports accuracy on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from analysis.edits import PreparedSubject
from analysis.subjects import Subject
from analysis.subjects.data import Split
from pruners.errors import InputError

SEARCH_SAMPLES = 4000
# Of samples that would all be evaluated, at most this share is set aside for a search.
SHARE = 1 / 3
# With fewer samples that are free, those of the calibration serve as well.
LEAST_SAMPLES = 200
# Plans that remove less than this share of the model are made smaller as if they removed it.
LEAST_REMOVED = 0.01


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a search measures.

    Attributes:
        curve_samples: For the curve of each group alone.
        slice_samples: After so many a plan that is clearly no better is left.
        foresees: Whether the curves say where plans that hold a drop are looked for first; else it
            is half of the model.
    """

    curve_samples: int = 500
    slice_samples: int = 250
    foresees: bool = False

    def first_stride(self, usual: float, removed: float) -> float:
        """Return by how much a plan is made smaller at first: where little can go, by little.

        Args:
            usual: Share of the plan that others are made smaller by.
            removed: Share of the model that the plan removes.
        """
        return min(usual, max(removed, LEAST_REMOVED) / 2) if self.foresees else usual


# A window of text or an image of labels has as many answers as hundreds of other samples, and costs
# as much; tolerances of such tasks are often far from half of the model.
OF_POSITIONS = Effort(curve_samples=32, slice_samples=64, foresees=True)


def effort_of(subject: Subject) -> Effort:
    """Return how much a search measures of a subject."""
    return OF_POSITIONS if subject.task.has_positions else Effort()


@dataclass(frozen=True, slots=True, eq=False)
class SearchData:
    """Samples for a search.

    Attributes:
        split: The samples; none of them is evaluated.
        words: Where they come from, for a person.
    """

    split: Split
    words: str


def search_data(subject: Subject, *, samples: int = SEARCH_SAMPLES) -> SearchData:
    """Choose samples that are neither evaluated nor, if that can be, calibrated on.

    They come from the data beyond the evaluation subset, which is like what is evaluated; else from
    the calibration data beyond the calibration set; else they are the calibration set itself.

    Args:
        subject: The subject.
        samples: At most so many.

    Raises:
        InputError: There is no data, or nothing but what is evaluated.
    """
    evaluation, calibration = subject.evaluation, subject.calibration
    if evaluation is None:
        raise InputError("a search needs data that it can measure on; give a data address")
    splits = [evaluation] if calibration is None else [evaluation, calibration]
    for split in splits:
        used = {
            index
            for other in (evaluation, calibration)
            if other is not None and other.source is split.source
            for index in other.indices
        }
        free = [index for index in range(len(split.source)) if index not in used]
        if len(free) >= LEAST_SAMPLES:
            generator = torch.Generator().manual_seed(subject.spec.seed)
            order = torch.randperm(len(free), generator=generator).tolist()
            chosen = [free[place] for place in order[:samples]]
            which = "calibration data" if split is calibration else "data"
            return SearchData(split.of(chosen), f"{len(chosen):,} other samples of the {which}")
    if calibration is None:
        raise InputError(
            "a search must not see the samples that are evaluated, and there are no others; "
            "evaluate fewer (--samples) or name data for it (--calibration-data)"
        )
    return SearchData(
        calibration,
        f"the {len(calibration):,} calibration samples, as fewer than {LEAST_SAMPLES} others are "
        "left",
    )


def set_aside(subject: Subject, *, samples: int = SEARCH_SAMPLES) -> int | None:
    """Return how many samples to evaluate so that some are left for a search; None: as it is."""
    split = subject.evaluation
    if split is None or subject.spec.samples is not None:
        return None
    spare = min(samples, int(len(split) * SHARE))
    return len(split) - spare if spare >= LEAST_SAMPLES else None


def on_search_data(prepared: PreparedSubject, data: SearchData) -> PreparedSubject:
    """Return the subject with the search data in the place of what is evaluated."""
    subject = prepared.subject
    fingerprint = data.split.fingerprint(subject.files)
    searched = dataclasses.replace(subject, evaluation=data.split, data_fingerprint=fingerprint)
    return prepared.of(searched)
