"""Subjects that are repaired, opened once a module."""

from __future__ import annotations

import pytest

from analysis.edits.prepared import PreparedSubject
from tests.analysis.recovery.pruned import make_context


@pytest.fixture(scope="module")
def lenet() -> PreparedSubject:
    return make_context("lenet5")


@pytest.fixture(scope="module")
def resnet() -> PreparedSubject:
    return make_context("resnet20")
