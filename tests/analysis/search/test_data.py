"""Search data: never evaluated, and where they come from is said."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.records.subject import SubjectSpec
from analysis.search.data import on_search_data, search_data, set_aside
from analysis.subjects.subject import load_subject
from pruners.errors import InputError


def opened(samples: int | None, calibration: int = 64) -> PreparedSubject:
    spec = SubjectSpec(
        model="sample:lenet5",
        data="sample:fashion-mnist",
        samples=samples,
        calibration_samples=calibration,
    )
    return prepare(load_subject(spec))


def test_they_are_other_samples_of_the_data() -> None:
    prepared = opened(300)
    found = search_data(prepared.subject, samples=500)
    evaluation = prepared.subject.evaluation
    assert evaluation is not None
    assert found.split.source is evaluation.source
    assert len(set(found.split.indices)) == len(found.split) == 500
    assert not set(found.split.indices) & set(evaluation.indices)
    assert found.words == "500 other samples of the data"
    again = search_data(prepared.subject, samples=500)
    assert again.split.indices == found.split.indices


def test_where_all_are_evaluated_they_are_of_the_calibration_data() -> None:
    subject = opened(None).subject
    found = search_data(subject)
    assert subject.calibration is not None
    assert found.split.source is subject.calibration.source
    assert not set(found.split.indices) & set(subject.calibration.indices)
    assert len(found.split) == 2000 - 64
    assert found.words == "1,936 other samples of the calibration data"


def npz(folder: Path, samples: int) -> str:
    chance = np.random.default_rng(0)
    path = folder / "data.npz"
    np.savez(
        path,
        images=chance.random((samples, 1, 28, 28), dtype=np.float32),
        labels=chance.integers(0, 10, samples),
    )
    return f"npz:{path}"


def test_where_there_is_nothing_else_they_are_the_calibration_set(tmp_path: Path) -> None:
    spec = SubjectSpec(model="sample:lenet5", data=npz(tmp_path, 400), calibration_samples=100)
    subject = load_subject(spec)
    found = search_data(subject)
    assert found.split is subject.calibration
    assert found.words == "the 80 calibration samples, as fewer than 200 others are left"
    with pytest.raises(InputError, match=r"must not see the samples that are evaluated.*--samples"):
        search_data(load_subject(dataclasses.replace(spec, calibration_samples=0)))


def test_a_third_is_set_aside_of_samples_that_would_all_be_evaluated(tmp_path: Path) -> None:
    assert set_aside(opened(None).subject) == 10_000 - 3_333
    assert set_aside(opened(None).subject, samples=1000) == 9_000
    assert set_aside(opened(300).subject) is None
    spec = SubjectSpec(model="sample:lenet5", data=npz(tmp_path, 400), calibration_samples=100)
    assert set_aside(load_subject(spec)) is None


def test_numbers_of_search_data_are_kept_apart() -> None:
    prepared = opened(300)
    searched = on_search_data(prepared, search_data(prepared.subject, samples=250))
    assert searched.identity.data != prepared.identity.data
    assert searched.identity.weights == prepared.identity.weights
    assert prepared.subject.evaluation is not searched.subject.evaluation
