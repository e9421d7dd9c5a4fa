"""The subject of the page tests, and how they read a page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from pruners.criteria import CRITERIA

ROOT = Path(__file__).resolve().parents[2]
SUBJECT = SubjectSpec(
    model="sample:lenet5",
    data="sample:fashion-mnist",
    samples=120,
    calibration_samples=40,
    batch_size=40,
)
SWEEP = SweepSpec(subject=SUBJECT, criteria=("l1", "fpgm"), ratios=(0.25, 0.5, 0.75))
# Every criterion that applies, and few ratios.
MANY = SweepSpec(
    subject=SUBJECT,
    criteria=tuple(
        name for name in CRITERIA.names() if "channel" in CRITERIA.get(name).granularities
    ),
    ratios=(0.25, 0.5),
)
Open = Callable[..., AppTest]


def shown(text: str) -> str:
    """Return text of Markdown as people see it where its signs are escaped."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)


def text_of(test: AppTest) -> str:
    """Return all that a page says."""
    kinds = ("title", "markdown", "caption", "error", "warning", "info", "subheader", "code")
    parts = [str(item.value) for kind in kinds for item in test.get(kind)]
    parts += [f"{item.label} {item.value} {item.delta}" for item in test.metric]
    parts += [str(item.label) for item in test.button]
    return "\n".join(parts)


def assert_no_bug(test: AppTest) -> None:
    """Fail if the page raised, or caught what it did not foresee."""
    assert not test.exception, test.exception
    assert "This is a bug" not in text_of(test)
    bugs = [item for item in test.error if "bug" in str(item.proto)]
    assert not bugs, bugs


def plan_rows(test: AppTest) -> dict[str, dict[str, Any]]:
    """Return the rows of the plan's table by layer, as they are sent to the browser."""
    (table,) = test.get("bidi_component")
    return {row["layer"]: row for row in json.loads(table.proto.json)["rows"]}
