"""Checks that were left before they ended, and subjects whose numbers mean nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from analysis.records.subject import SubjectSpec
from pages.components.state.check import STATE, Check
from tests.pages.reading import SUBJECT, Open, assert_no_bug


def left_setup(
    open_page: Open, page: str, spec: SubjectSpec, before: SubjectSpec | None
) -> AppTest:
    """Open a page as someone who pressed it while a subject was being checked."""
    test = open_page("Home", subject=before)
    test.session_state[STATE] = Check("checking", spec)
    test.switch_page(f"pages/{page}.py").run()
    assert_no_bug(test)
    assert STATE not in test.session_state or test.session_state[STATE].state == "failed"
    return test


@pytest.mark.parametrize("before", [None, SUBJECT], ids=["first", "another"])
def test_the_sweep_page_ends_the_check_that_was_left(
    open_page: Open, before: SubjectSpec | None
) -> None:
    """Sweep pressed while Setup was still checking gave a page without a word."""
    spec = dataclasses.replace(SUBJECT, seed=5)
    test = left_setup(open_page, "2_Sweep", spec, before)
    assert test.session_state["subject_spec"] == spec.to_dict()
    assert [item.label for item in test.button if item.key == "sweep_start"] == ["Start sweep"]


def test_a_check_that_was_left_and_fails_is_said(open_page: Open, tmp_path: Path) -> None:
    spec = dataclasses.replace(SUBJECT, data=f"npz:{tmp_path}/nothing.npz")
    test = left_setup(open_page, "2_Sweep", spec, SUBJECT)
    assert test.session_state["subject_spec"] == SUBJECT.to_dict()
    assert f"no file {tmp_path}/nothing.npz" in test.warning[0].value.replace("\\", "")
    assert any(item.key == "sweep_start" for item in test.button)
    test = left_setup(open_page, "2_Sweep", spec, None)
    assert f"no file {tmp_path}/nothing.npz" in test.warning[0].value.replace("\\", "")


def test_setup_goes_on_with_a_check_in_which_something_was_clicked(open_page: Open) -> None:
    spec = dataclasses.replace(SUBJECT, seed=5)
    test = left_setup(open_page, "1_Setup", spec, SUBJECT)
    assert test.session_state["subject_spec"] == spec.to_dict()


@pytest.mark.parametrize("page", ["2_Sweep", "5_Plan", "6_Evaluate", "7_Export"])
def test_a_baseline_at_chance_level_is_said_in_words_above_the_numbers(
    open_page: Open, tmp_path: Path, page: str
) -> None:
    """A small badge in the sidebar was all, where numbers are shown."""
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (60, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "noise.npz", images=images, labels=random.integers(0, 10, 60))
    spec = dataclasses.replace(SUBJECT, data=f"npz:{tmp_path}/noise.npz", calibration_samples=0)
    test = left_setup(open_page, page, spec, None)
    said = [item.value for item in test.warning if "always gives the same answer" in item.value]
    assert len(said) == 1
    assert said[0].startswith("**Chance level.** The dense model is not surely better")


def test_the_sweep_page_offers_what_the_device_can_do(open_page: Open) -> None:
    """TF32 was offered on a processor, and refused when the sweep had begun."""
    test = open_page("2_Sweep", subject=SUBJECT)
    control = next(item for item in test.get("button_group") if item.label == "Precision")
    assert [str(option) for option in control.options] == ["float32", "bf16", "fp16"]
    assert "TF32" not in control.help
