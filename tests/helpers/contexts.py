"""Opened sample subjects, one of each per test process: opening takes seconds."""

from __future__ import annotations

import functools

from analysis.edits.prepared import PreparedSubject, prepare
from analysis.records.subject import SubjectSpec
from analysis.subjects.subject import load_subject


def sample_spec(name: str, *, samples: int = 200, batch_size: int = 64) -> SubjectSpec:
    return SubjectSpec(
        model=f"sample:{name}",
        data="sample:fashion-mnist",
        samples=samples,
        batch_size=batch_size,
        calibration_samples=64,
    )


@functools.cache
def sample_context(name: str, *, samples: int = 200, batch_size: int = 64) -> PreparedSubject:
    return prepare(load_subject(sample_spec(name, samples=samples, batch_size=batch_size)))
