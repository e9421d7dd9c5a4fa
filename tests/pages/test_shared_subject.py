"""What a link leaves out: of its plan or run, else what commands take."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from analysis.cli.app import main
from analysis.edits.prepared import PreparedSubject, prepare
from analysis.plans.apply import start_plan
from analysis.plans.editing import set_ratio
from analysis.plans.files import write_plan
from analysis.records.plan import Plan
from analysis.records.subject import SubjectSpec
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from analysis.sweeps.request import spec_of_options
from analysis.tasks import TASKS
from pages.components.state.demo import DEMO, SAMPLE_SUBJECTS
from pages.components.state.shared_subject import parameters, subject_of
from pruners.errors import PruneScopeError
from tests.pages.reading import SUBJECT, Open, assert_no_bug, text_of
from tests.pages.test_setup import address

MODEL, DATA = "tests.helpers.task_subjects:model", "npz:a.npz"
# Each sample of these has many positions.
DENSE = {
    *("segmentation", "language_modelling", "masked_lm", "token_classification"),
    "image_to_image",
}


@pytest.mark.parametrize("task", TASKS.names())
def test_a_link_has_the_calibration_samples_of_the_commands(task: str) -> None:
    """It was 512 of every task; a sweep by the same criteria took 128 of some."""
    found = subject_of({"model": MODEL, "data": DATA, "task": task})
    assert found is not None
    assert found.calibration_samples == (128 if task in DENSE else 512)
    given = {"model": MODEL, "data": DATA, "task": task, "criteria": "taylor"}
    assert found == spec_of_options(given).subject


@pytest.mark.parametrize("spec", [DEMO, *(sample.spec for sample in SAMPLE_SUBJECTS)])
def test_what_comes_along_is_calibrated_as_its_link_is(spec: SubjectSpec) -> None:
    assert "calibration_samples" not in parameters(spec)
    assert subject_of(parameters(spec)) == spec


def saved(workspace: Path, spec: SubjectSpec) -> str:
    return Store(workspace).plans.save(Plan(subject=spec, fingerprint="f", entries=()))


@pytest.mark.parametrize("task", TASKS.names())
def test_a_link_to_a_plan_leaves_the_rest_to_the_plan(
    task: str, open_page: Open, workspace: Path
) -> None:
    spec = SubjectSpec(
        model=MODEL, data=DATA, samples=60, calibration_samples=37, seed=5, batch_size=8, task=task
    )
    plan = saved(workspace, spec)
    for given in ({}, {"model": MODEL}, {"model": MODEL, "data": DATA}):
        test = open_page("8_Runs", plan=plan, **given)
        assert_no_bug(test)
        assert SubjectSpec.from_dict(test.session_state["subject_spec"]) == spec
    test = open_page("8_Runs", plan=plan, samples="20")
    assert SubjectSpec.from_dict(test.session_state["subject_spec"]) == dataclasses.replace(
        spec, samples=20
    )


def test_the_plan_comes_before_the_run(open_page: Open) -> None:
    """A repair is calibrated, where the plan's sweep needed no samples for it."""
    test = open_page("8_Runs", "done")
    run = test.query_params["run"]
    run_id = run if isinstance(run, str) else run[0]
    spec = dataclasses.replace(SUBJECT, calibration_samples=24)
    plan = saved(Path(os.environ["PRUNESCOPE_WORKSPACE"]), spec)
    again = AppTest.from_file(test._script_path, default_timeout=60)
    again.query_params["run"], again.query_params["plan"] = run_id, plan
    again.switch_page("pages/8_Runs.py").run()
    assert SubjectSpec.from_dict(again.session_state["subject_spec"]) == spec
    alone = AppTest.from_file(test._script_path, default_timeout=60)
    alone.query_params["run"], alone.query_params["samples"] = run_id, "60"
    alone.switch_page("pages/8_Runs.py").run()
    assert SubjectSpec.from_dict(alone.session_state["subject_spec"]) == dataclasses.replace(
        SUBJECT, samples=60
    )


SPECS = (
    SUBJECT,
    dataclasses.replace(SUBJECT, samples=None, batch_size=None, seed=3, device="cuda"),
    dataclasses.replace(SUBJECT, criterion_files=("a.py",), memory_limit=2**21),
    SubjectSpec(model=SUBJECT.model),
    SubjectSpec(model="a.py:b", data=SUBJECT.data, task="segmentation"),
    SubjectSpec(model="a.py:b", data="text:a", calibration_data="text:b", calibration_samples=0),
    SubjectSpec(model="a.py:b", data="text:a", task="language_modelling", calibration_samples=128),
)


@pytest.mark.parametrize(("spec", "named"), list(itertools.product(SPECS, SPECS)))
def test_a_link_holds_a_subject_whatever_it_names(spec: SubjectSpec, named: SubjectSpec) -> None:
    assert subject_of(parameters(spec, named), named) == spec


def test_a_link_that_is_opened_again_saves_no_second_plan(
    open_page: Open, workspace: Path, prepared: PreparedSubject
) -> None:
    plan = start_plan(prepared, criterion="l1")
    store = Store(workspace)
    plan_id = store.plans.save(set_ratio(plan, "conv2", 0.5))
    found = []
    for _ in range(2):
        test = open_page("5_Plan", plan=plan_id, samples="60")
        assert_no_bug(test)
        name = test.query_params["plan"]
        found.append(name if isinstance(name, str) else name[0])
    assert found[0] == found[1] != plan_id
    assert {row.plan_id for row in store.plans.saved()} == {plan_id, found[0]}
    assert store.plans.get(found[0]).subject.samples == 60


def test_undo_goes_on_before_the_samples_were_changed(open_page: Open) -> None:
    """It brought back the samples of before, which the page changed again: nothing happened."""
    test = open_page("5_Plan", subject=SUBJECT)
    test.slider[0].set_value(50.0).run()
    other = dataclasses.replace(SUBJECT, samples=60)
    test.session_state["subject_spec"] = other.to_dict()
    test.run()
    assert_no_bug(test)
    assert "60 samples evaluated" in text_of(test)
    history = test.session_state["plan_history"]
    assert history.plan.subject == other
    assert history.plan.entries[0].ratio == 0.5
    test.button(key="sidebar_undo").click().run()
    assert test.session_state["plan_history"].plan.entries[0].ratio == 0
    test.button(key="sidebar_redo").click().run()
    history = test.session_state["plan_history"]
    assert (history.plan.entries[0].ratio, history.plan.subject) == (0.5, other)


def test_another_model_takes_nothing_from_the_plan() -> None:
    """A link to a run of another model: its numbers are no answer to what is left out."""
    named = dataclasses.replace(SUBJECT, samples=7, calibration_samples=9)
    found = subject_of({"model": "sample:unet_small", "data": "sample:scenes"}, named)
    assert (
        found
        == spec_of_options(
            {"model": "sample:unet_small", "data": "sample:scenes", "criteria": "taylor"}
        ).subject
    )


def test_no_such_task_is_one_line(open_page: Open) -> None:
    with pytest.raises(PruneScopeError):
        subject_of({"model": "sample:lenet5", "task": "cooking"})
    test = open_page("2_Sweep", model="sample:lenet5", task="cooking")
    assert_no_bug(test)
    assert "cooking" in test.error[0].value


def test_the_form_calibrates_on_what_the_task_takes(open_page: Open) -> None:
    """The number of the subject before stayed in the field when the data became text."""
    test = open_page("1_Setup")
    assert test.number_input(key="setup_calibration").value is None
    assert test.number_input(key="setup_calibration").placeholder == "512"
    test.text_input(key="setup_model_address").set_value("sample:llama_tiny").run()
    test.text_input(key="setup_data_address").set_value("sample:king-james").run()
    assert test.number_input(key="setup_calibration").placeholder == "128"
    test.number_input(key="setup_samples").set_value(8).run()
    test.button(key="setup_check").click().run()
    assert_no_bug(test)
    chosen = SubjectSpec.from_dict(test.session_state["subject_spec"])
    assert (chosen.task, chosen.calibration_samples) == ("language_modelling", 128)
    assert address(test, "data") == "sample:king-james"
    test.number_input(key="setup_calibration").set_value(16).run()
    test.button(key="setup_check").click().run()
    chosen = SubjectSpec.from_dict(test.session_state["subject_spec"])
    assert chosen.calibration_samples == 16


def test_a_page_by_link_has_the_number_of_the_command(
    open_page: Open, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """60.52 % and 60.88 % stood side by side for one plan."""
    given = {"model": "sample:unet_small", "data": "sample:scenes", "samples": 20}
    spec = spec_of_options({**given, "criteria": "taylor"}).subject
    plan = start_plan(prepare(load_subject(spec)), criterion="l1")
    plan = dataclasses.replace(set_ratio(plan, plan.entries[0].layer, 0.5), repair="lsq")
    plan_id = Store(workspace).plans.save(plan)
    write_plan(plan, tmp_path / "plan.json")
    place = ["--workspace", str(workspace), "--json"]
    assert main(["evaluate", "--plan", str(tmp_path / "plan.json"), *place]) == 0
    said = json.loads(capsys.readouterr().out)
    query = {name: str(text) for name, text in given.items()}
    test = open_page("6_Evaluate", plan=plan_id, **query)
    assert_no_bug(test)
    assert test.button(key="evaluate_start").label == "Evaluate again", text_of(test)
    shown = {item.label: item.value for item in test.metric}
    score = said["removed"]["miou"]
    assert f"{100 * score:.2f}" in shown["mIoU after lsq"]
    # Measured on the page itself, without what the command kept.
    test.button(key="evaluate_start").click().run()
    assert {item.label: item.value for item in test.metric}["mIoU after lsq"] == (
        shown["mIoU after lsq"]
    )
