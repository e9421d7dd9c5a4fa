"""A subject whose files are written again while the dashboard runs."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from analysis.evaluation.session import Subjects
from analysis.records.subject import SubjectSpec
from analysis.subjects import load_model, parse_model
from pages.components.state.subject_cache import subjects
from pages.components.widgets import formatting
from pruners.criteria import load_criterion_file
from pruners.errors import AddressError, InputError
from tests.analysis.subjects.test_changed_files import write_weights
from tests.helpers.tiny_subject import write_images, write_subject
from tests.pages.reading import Open, assert_no_bug, text_of
from tests.pages.test_flow import fill_uniform, metric, present


@pytest.fixture
def own(tmp_path: Path) -> SubjectSpec:
    """A subject of files, with weights of its own."""
    spec = write_subject(tmp_path)
    return SubjectSpec(
        model=write_weights(spec, tmp_path, seed=1),
        data=spec.data,
        samples=96,
        calibration_samples=32,
        batch_size=32,
    )


def test_new_weights_are_measured_and_said(
    open_page: Open, own: SubjectSpec, tmp_path: Path
) -> None:
    """Accuracy of the old weights was shown for the new ones."""
    test = open_page("5_Plan", subject=own)
    assert_no_bug(test)
    before = metric(test, "Measured accuracy")
    fill_uniform(test, 50)
    old = present(test).plan
    first = subjects().peek(own)
    assert first is not None
    write_weights(write_subject(tmp_path), tmp_path, seed=2)
    assert subjects().peek(own) is None
    test.run()
    assert_no_bug(test)
    said = " ".join(str(item.value) for item in test.toast)
    assert "have changed since it was loaded" in said
    assert "was made for other weights" in said
    after = present(test).plan
    assert after.fingerprint != old.fingerprint
    second = subjects().peek(own)
    assert second is not None
    assert second is not first
    assert metric(test, "Measured accuracy") != before
    assert metric(test, "Measured accuracy") == formatting.percent(second.baseline().accuracy)


def test_a_run_of_the_old_weights_is_stale(
    open_page: Open, own: SubjectSpec, tmp_path: Path
) -> None:
    """Curves of the old weights went into new plans."""
    from analysis.edits.prepared import prepare
    from analysis.records.sweep import SweepSpec
    from analysis.store.store import Store
    from analysis.subjects.subject import load_subject
    from tests.pages.conftest import measure

    place = tmp_path / "workspace"
    place.mkdir()
    store = Store(place)
    prepared = prepare(load_subject(own))
    run_id = measure(store, prepared, SweepSpec(subject=own, criteria=("l1",)), samples=96)
    store.jobs.finish(run_id, "done", owner="test", seconds=1.0, error="")
    store.close()
    test = open_page("5_Plan", subject=own, run=run_id)
    assert_no_bug(test)
    assert "have changed since the open run" not in text_of(test)
    assert metric(test, "Predicted accuracy") != "\N{EN DASH}"
    assert known_already(test) > 0
    write_weights(write_subject(tmp_path), tmp_path, seed=2)
    assert known_already(test) == 0
    test.switch_page("pages/5_Plan.py").run()
    assert_no_bug(test)
    assert "have changed since the open run" in text_of(test)
    assert not any(character.isdigit() for character in metric(test, "Predicted accuracy"))
    test.switch_page("pages/3_Curves.py").run()
    assert_no_bug(test)
    assert "since these points were measured" in text_of(test)


def known_already(test: AppTest) -> int:
    """Points of a new sweep that the workspace has, as the Sweep page says."""
    test.switch_page("pages/2_Sweep.py").run()
    assert_no_bug(test)
    found = re.search(r"([\d,]+) known already", text_of(test))
    assert found is not None
    return int(found[1].replace(",", ""))


@pytest.mark.slow
@pytest.mark.parametrize("what", ["weights", "data"])
def test_an_evaluation_of_the_old_files_is_never_shown_as_new(
    open_page: Open, own: SubjectSpec, tmp_path: Path, what: str
) -> None:
    """Found by a newcomer: Export said that its files carry numbers of overwritten weights."""
    test = open_page("5_Plan", subject=own)
    fill_uniform(test, 50)
    test.switch_page("pages/6_Evaluate.py").run()
    test.button(key="evaluate_start").click().run()
    assert_no_bug(test)
    test.switch_page("pages/7_Export.py").run()
    assert "Evaluated (repaired by lsq)" in text_of(test)
    test.button(key="export_build").click().run()
    test.button(key="export_check").click().run()
    assert "Round trip" in text_of(test)
    if what == "weights":
        write_weights(write_subject(tmp_path), tmp_path, seed=2)
    else:
        write_images(tmp_path / "tiny.npz", count=241)
    test.run()
    assert_no_bug(test)
    said = text_of(test)
    assert "Evaluated repaired" not in said
    assert "Round trip" not in said
    assert any("have changed since" in str(item.value) for item in test.toast)
    if what == "weights":
        assert "removes nothing yet" in said
        return
    assert "not evaluated yet" in said
    assert "subject has changed since; build the files again" in said
    test.switch_page("pages/6_Evaluate.py").run()
    assert "have changed since this evaluation" in text_of(test)
    test.button(key="evaluate_start").click().run()
    assert_no_bug(test)
    assert "have changed since this evaluation" not in text_of(test)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[str]:
    """The address of a model whose factory comes back when the test ends; it runs by then."""
    entered, go = threading.Event(), threading.Event()
    st.slow_factory = (entered, go)  # type: ignore[attr-defined]
    path = tmp_path / "slow.py"
    path.write_text(
        "import streamlit as st\n"
        "def build():\n"
        "    entered, go = st.slow_factory\n"
        "    entered.set()\n"
        "    go.wait(60)\n"
        "    raise RuntimeError('enough')\n",
        encoding="utf-8",
    )
    said: list[str] = []

    def load() -> None:
        try:
            Subjects().get(SubjectSpec(model=f"{path}:build"), [tmp_path], tmp_path / "cache")
        except AddressError as error:
            said.append(str(error))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        assert entered.wait(30)
        yield f"{path}:build"
    finally:
        go.set()
        thread.join()
        del st.slow_factory  # type: ignore[attr-defined]
    assert "enough" in said[0]


def test_whoever_works_on_a_loaded_subject_does_not_wait_for_another(
    own: SubjectSpec, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One slow factory held up every session."""
    held, place = Subjects(), ([tmp_path], tmp_path / "cache")
    loaded = held.get(own, *place)
    request.getfixturevalue("slow")
    assert held.get(own, *place) is loaded
    assert held.peek(own) is loaded


def test_nobody_waits_without_end_for_the_code_of_another(
    own: SubjectSpec, slow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile nobody could open a file."""
    monkeypatch.setattr("pruners.user_code.one_at_a_time.PATIENCE_SECONDS", 0.1)
    assert load_model(parse_model("sample:lenet5")).input_shape == (1, 28, 28)
    with pytest.raises(InputError, match=f"code of '{slow}' has been running for .* s, ") as told:
        load_model(parse_model(own.model))
    assert "\n" not in str(told.value)
    (tmp_path / "own.py").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=f"code of '{tmp_path}' has been running"):
        load_criterion_file(tmp_path / "own.py")
