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
        f"the {len(calibration):,} calibration samples: all others are evaluated",
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
    return dataclasses.replace(prepared, subject=searched)
