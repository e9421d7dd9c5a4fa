"""The Setup page: fields that make an address, a check that says what it found, a lasting link."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from analysis.records.subject import SubjectSpec
from analysis.store.uploads import save_upload, uploads_folder
from pages.components.setup import fields
from pages.components.setup.draft import DATA, MODEL, Draft
from pages.components.state.shared_subject import parameters, subject_of
from pruners.errors import InputError
from tests.helpers.tiny_subject import write_subject
from tests.pages.reading import SUBJECT, Open, assert_no_bug, shown, text_of


def address(test: AppTest, part: str) -> str:
    return str(test.text_input(key=f"setup_{part}_address").value)


def sidebar(test: AppTest) -> str:
    return "\n".join(str(item.value) for item in test.sidebar.markdown)


def setup_badge(test: AppTest) -> str:
    links = [item.proto.label for item in test.sidebar.get("page_link")]
    return next(label for label in links if label.startswith("Setup"))


def own(tmp_path: Path) -> SubjectSpec:
    spec = write_subject(tmp_path)
    return SubjectSpec(
        model=spec.model,
        data=str(spec.data).split("#")[0],
        samples=96,
        calibration_samples=32,
        batch_size=32,
    )


def test_own_model_of_home_is_asked_for_one(open_page: Open) -> None:
    """The button led to a form that was filled with the sample."""
    test = open_page("Home")
    test.button(key="home_setup").click().run()
    assert_no_bug(test)
    kinds = [test.selectbox(key=f"setup_{part}_kind").value for part in ("model", "data")]
    assert kinds == ["file", "imagefolder"]
    # The sample is a choice away.
    test.selectbox(key="setup_model_kind").set_value("sample").run()
    assert address(test, "model") == "sample:resnet20"


def test_fields_and_address_follow_each_other(open_page: Open, tmp_path: Path) -> None:
    """One text field with a language of its own was the barrier."""
    write_subject(tmp_path)
    test = open_page("1_Setup")
    assert address(test, "model") == "sample:resnet20"
    test.selectbox(key="setup_data_kind").set_value("npz").run()
    files = test.selectbox(key="setup_data_npz_name")
    assert files.options == [str(tmp_path / "tiny.npz")]
    files.set_value(str(tmp_path / "tiny.npz")).run()
    test.text_input(key="setup_data_npz_mean").set_value("0.5").run()
    assert address(test, "data") == f"npz:{tmp_path}/tiny.npz#mean=0.5"
    # What the kinds have in common is kept.
    test.selectbox(key="setup_data_kind").set_value("imagefolder").run()
    assert address(test, "data") == "imagefolder:#mean=0.5"
    test.text_input(key="setup_data_imagefolder_size").set_value("big").run()
    assert "Size (pixels) must be a whole number above 0" in text_of(test)
    test.text_input(key="setup_data_address").set_value("npz:b.npz#std=2").run()
    assert test.selectbox(key="setup_data_kind").value == "npz"
    assert test.selectbox(key="setup_data_npz_name").value == "b.npz"
    assert test.text_input(key="setup_data_npz_std").value == "2"
    assert test.text_input(key="setup_data_npz_mean").value == ""
    test.text_input(key="setup_data_address").set_value("npz:b.npz#std=x").run()
    assert_no_bug(test)
    assert "option std must be numbers" in text_of(test)
    assert address(test, "data") == "npz:b.npz#std=x"
    test.selectbox(key="setup_data_kind").set_value("").run()
    assert address(test, "data") == ""


def test_calibration_has_fields_and_zero_means_auto(open_page: Open, tmp_path: Path) -> None:
    """Auto batch size and memory, and data for calibration alone."""
    spec = own(tmp_path)
    (tmp_path / "more").mkdir()
    other = str(write_subject(tmp_path / "more").data).split("#")[0]
    test = open_page("1_Setup", subject=spec)
    assert test.number_input(key="setup_batch").value == 32
    assert test.number_input(key="setup_memory").value == 0
    test.number_input(key="setup_batch").set_value(0).run()
    test.number_input(key="setup_calibration").set_value(0).run()
    test.selectbox(key="setup_calibration_kind").set_value("npz").run()
    test.text_input(key="setup_calibration_address").set_value(other).run()
    assert test.selectbox(key="setup_calibration_npz_name").value == other.removeprefix("npz:")
    test.button(key="setup_check").click().run()
    assert_no_bug(test)
    chosen = SubjectSpec.from_dict(test.session_state["subject_spec"])
    assert chosen == dataclasses.replace(
        spec, batch_size=None, calibration_samples=0, calibration_data=other
    )


def test_key_and_channels_are_drawn(open_page: Open) -> None:
    test = open_page("1_Setup")
    test.selectbox(key="setup_data_kind").set_value("imagefolder").run()
    test.text_input(key="setup_data_imagefolder_channels").set_value("1").run()
    assert address(test, "data") == "imagefolder:#channels=1"
    test.text_input(key="setup_model_sample_key").set_value("ema").run()
    assert address(test, "model") == "sample:resnet20#key=ema"
    assert_no_bug(test)


def test_functions_of_a_file_are_offered_without_running_it(
    open_page: Open, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text("raise SystemExit\ndef build(): ...\n", encoding="utf-8")
    test = open_page("1_Setup")
    test.selectbox(key="setup_model_kind").set_value("file").run()
    test.selectbox(key="setup_model_file_name").set_value(str(tmp_path / "net.py")).run()
    assert test.selectbox(key="setup_model_file_factory").options == ["build"]
    test.selectbox(key="setup_model_file_factory").set_value("build").run()
    assert address(test, "model") == f"{tmp_path}/net.py:build"
    # The functions of a file that this server does not allow stay its own.
    test.text_input(key="setup_model_address").set_value(f"{__file__}:x").run()
    assert test.selectbox(key="setup_model_file_factory").options == ["x"]


def test_a_draft_reads_and_writes_every_address() -> None:
    for part in (MODEL, DATA):
        for scheme in part.schemes:
            draft = Draft.of(scheme.example, part)
            assert draft.kind == scheme.name
            assert draft.text(part) == scheme.example
    assert Draft.of("", DATA).text(DATA) == ""


def test_a_check_that_fails_is_said_and_the_subject_before_it_named(
    open_page: Open, tmp_path: Path
) -> None:
    """Setup said ready, and all other pages silently went on with the old subject."""
    test = open_page("1_Setup", subject=SUBJECT)
    assert "ready" in setup_badge(test)
    test.text_input(key="setup_data_address").set_value(f"npz:{tmp_path}/nothing.npz").run()
    test.button(key="setup_check").click().run()
    assert_no_bug(test)
    assert f"no file {tmp_path}/nothing.npz" in shown(test.error[0].value)
    assert "lenet5 on nothing.npz cannot be used" in test.error[0].proto.title.replace("\\", "")
    still = "Still in use, here and on all other pages: **lenet5 on fashion-mnist**"
    assert still in text_of(test).replace("\\", "")
    assert "failed" in setup_badge(test)
    assert "Subject, still in use" in [item.value for item in test.sidebar.caption]
    assert address(test, "data") == f"npz:{tmp_path}/nothing.npz"
    test.switch_page("pages/2_Sweep.py").run()
    assert "failed" in setup_badge(test)
    test.switch_page("pages/1_Setup.py").run()
    assert address(test, "data") == f"npz:{tmp_path}/nothing.npz"
    test.button(key="setup_failed_end").click().run()
    assert "ready" in setup_badge(test)
    assert not test.error


def test_a_check_that_passes_is_chosen_and_said(open_page: Open, tmp_path: Path) -> None:
    """The title hid options, the samples were those asked for, F5 lost it all."""
    spec = own(tmp_path)
    test = open_page("1_Setup")
    test.text_input(key="setup_model_address").set_value(spec.model).run()
    test.text_input(key="setup_data_address").set_value(f"{spec.data}#mean=0.1").run()
    test.button(key="setup_check").click().run()
    assert_no_bug(test)
    assert "ready" in setup_badge(test)
    said = sidebar(test).replace("\\", "")
    assert "mean 0.1" in said
    assert "192 samples evaluated of 2,000 asked for" in said
    assert test.query_params["model"] == spec.model
    again = AppTest.from_file(test._script_path, default_timeout=60)
    for name in ("model", "data", "samples", "batch_size"):
        again.query_params[name] = test.query_params[name]
    again.switch_page("pages/1_Setup.py").run()
    assert_no_bug(again)
    assert again.session_state["subject_spec"] == test.session_state["subject_spec"]
    assert address(again, "data") == f"{spec.data}#mean=0.1"


def test_a_run_in_the_link_is_subject_enough(open_page: Open) -> None:
    test = open_page("3_Curves", "done")
    assert "model" not in test.query_params
    other = open_page("1_Setup", subject=SUBJECT)
    assert other.query_params["model"] == [SUBJECT.model] or other.query_params["model"] == (
        SUBJECT.model
    )


@pytest.mark.parametrize(
    "spec",
    [
        SUBJECT,
        SubjectSpec(model="a.py:b#weights=c%26d", device="cuda:1", criterion_files=("x", "y z")),
        SubjectSpec(model="sample:lenet5", samples=3, seed=2**40, memory_limit=2**21, batch_size=7),
        SubjectSpec(model="sample:lenet5", data="npz:a", calibration_data="npz:b#std=2"),
        SubjectSpec(model="a.py:b", data="sample:king-james", task="language_modelling"),
        # Of text, but of a task that such data are not for.
        SubjectSpec(model="a.py:b", data="text:a"),
        SubjectSpec(model="a.py:b", data="malformed:"),
    ],
)
def test_a_link_holds_a_subject(spec: SubjectSpec) -> None:
    assert subject_of(parameters(spec)) == spec
    assert subject_of({"run": "x"} | parameters(spec)) == spec


def test_a_link_without_a_task_has_that_of_its_data() -> None:
    """Of text it was classification, and every page an error."""
    found = subject_of({"model": "sample:llama_tiny", "data": "sample:king-james"})
    assert found is not None
    assert found.task == "language_modelling"


@pytest.mark.parametrize("given", [{"samples": "x"}, {"seed": "-1"}, {"batch_size": "0"}])
def test_nonsense_in_a_link_is_one_line(given: dict[str, str], open_page: Open) -> None:
    assert subject_of(given) is None
    with pytest.raises(InputError):
        subject_of({"model": "sample:lenet5"} | given)
    test = open_page("2_Sweep", model="sample:lenet5", **given)
    assert_no_bug(test)
    assert "\n" not in test.error[0].value
    test.button(key="broken_fresh").click().run()
    assert not test.error


def test_random_weights_and_chance_are_said_in_words_and_colour(
    open_page: Open, tmp_path: Path
) -> None:
    """Guessing got a green tick."""
    images = np.random.default_rng(0).random((60, 3, 32, 32), dtype=np.float32)
    labels = np.arange(60) % 10
    np.savez(tmp_path / "noise.npz", images=images, labels=labels)
    spec = SubjectSpec(
        model="torchvision:squeezenet1_1#classes=10",
        data=f"npz:{tmp_path}/noise.npz#std=0.001",
        samples=40,
    )
    test = open_page("1_Setup", subject=spec)
    assert_no_bug(test)
    lines = [str(item.value) for item in test.main.markdown]
    baseline = next(line for line in lines if "Baseline" in line)
    assert baseline.startswith(":orange[")
    for kind in ("Random weights", "Chance level", "Input scale"):
        assert any(f"**{kind}.**" in line for line in lines), kind
    assert any(":red[" in line and "Chance level" in line for line in lines)
    assert ":red-badge[random weights] :orange-badge[input scale] :red-badge[chance level]" in (
        sidebar(test)
    )


def test_data_without_labels_has_a_reference_not_a_baseline(
    open_page: Open, tmp_path: Path
) -> None:
    """ "Baseline 100 %" was the agreement of the dense model with itself."""
    write_subject(tmp_path)
    with np.load(tmp_path / "tiny.npz") as known:
        np.savez(tmp_path / "bare.npz", images=known["images"])
    spec = SubjectSpec(
        model=own(tmp_path).model, data=f"npz:{tmp_path}/bare.npz", samples=64, batch_size=32
    )
    test = open_page("1_Setup", subject=spec)
    assert_no_bug(test)
    said = text_of(test)
    assert "Baseline" not in said
    assert "Reference: the dense model's own answers on 64 samples" in said
    assert ":blue-badge[no labels]" in sidebar(test)
    assert any(str(item.value).startswith(":small[answers ") for item in test.main.markdown)
    test.switch_page("pages/5_Plan.py").run()
    assert_no_bug(test)
    labels = [item.label for item in test.metric]
    assert "Same answer as dense" in labels
    assert "Measured accuracy" not in labels


def test_what_the_network_is_fed_is_shown(open_page: Open) -> None:
    """Wrong mean, std and size show in a second."""
    test = open_page("1_Setup", subject=SUBJECT)
    assert_no_bug(test)
    assert "1 x 28 x 28, values -0.81 to 2.02" in text_of(test)
    marks = [str(item.value) for item in test.main.markdown if ":small[:" in str(item.value)]
    assert len(marks) == 12
    assert all(":material/check:" in mark or ", is " in mark for mark in marks)


def test_the_output_is_no_warning(open_page: Open) -> None:
    """What is true of every network was orange."""
    test = open_page("1_Setup", subject=SUBJECT)
    line = next(str(item.value) for item in test.main.markdown if "not prunable" in str(item.value))
    assert line.startswith(":blue[")
    assert "is the network's output" in line
    groups = next(item for item in test.metric if item.label == "Prunable groups")
    assert groups.help


def test_uploads_are_named_by_content_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = save_upload(tmp_path, "../a b.npz", b"one", suffixes=(".npz",))
    assert first.parent == uploads_folder(tmp_path)
    assert first.name.startswith("a-b-")
    assert first.read_bytes() == b"one"
    assert save_upload(tmp_path, "../a b.npz", b"one", suffixes=(".npz",)) == first
    assert save_upload(tmp_path, "a b.npz", b"two", suffixes=(".npz",)) != first
    for name, content, says in (
        ("x.py", b"import os", "files end in .npz"),
        ("x.npz", b"", "has 0 bytes"),
        ("x.npz", b"12345", "has 5 bytes"),
        ("y.npz", b"123", "are allowed"),
    ):
        monkeypatch.setattr("analysis.store.uploads.MAX_UPLOAD_BYTES", 4)
        monkeypatch.setattr("analysis.store.uploads.MAX_UPLOADS_BYTES", 8)
        with pytest.raises(InputError, match=says):
            save_upload(tmp_path, name, content, suffixes=(".npz",))
    assert len(list(uploads_folder(tmp_path).iterdir())) == 2


@pytest.mark.parametrize(
    ("page", "state", "says"),
    [
        ("Home", None, "prunescope inspect --model sample:resnet20 --data sample:fashion-mnist"),
        ("1_Setup", "done", "prunescope inspect --model sample:lenet5"),
        ("2_Sweep", "done", "prunescope sweep --model sample:lenet5"),
        ("2_Sweep", "running", "--ratios 0.25,0.5,0.75"),
        ("3_Curves", "done", "--out points.csv"),
        ("4_Compare", "done", "--out points.csv"),
        ("5_Plan", "done", "prunescope sweep --model sample:lenet5"),
        ("6_Evaluate", "done", "prunescope sweep --model sample:lenet5"),
        ("8_Runs", "done", "prunescope runs list --workspace"),
    ],
)
def test_every_page_offers_its_code(page: str, state: str, says: str, open_page: Open) -> None:
    """Section E of the browser's findings, 10: only Export had it."""
    test = open_page(page, state)
    assert_no_bug(test)
    shown = [str(item.value) for item in test.sidebar.get("code")]
    assert any(says in code for code in shown), shown
    assert any(code.startswith("from ") for code in shown)


def test_a_path_that_no_file_can_have_offers_no_functions() -> None:
    """A bug of PruneScope, the page said."""
    for name in ("~nouser/x.py", "\x00", "a" * 300):
        assert fields._allowed(name) is None


def test_the_data_say_what_the_model_answers() -> None:
    """Scenes are segmented without a word under Advanced."""
    page = AppTest.from_string(
        "import streamlit as st\n"
        "from pages.components.setup.form import form\n"
        "found = form(None)\n"
        "st.text(found.task if found else '-')\n"
    ).run()
    page.text_input(key="setup_data_address").set_value("sample:scenes").run()
    page.button(key="setup_check").click().run()
    assert not page.exception
    assert page.text[-1].value == "segmentation"
