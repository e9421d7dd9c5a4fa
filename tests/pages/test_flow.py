"""From a finished run to a plan, its live accuracy, its evaluation and its export."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import pkgutil
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from analysis import plans
from analysis.edits import PreparedSubject
from analysis.edits.prepared import prepare
from analysis.evaluation.session import LoadedSubject
from analysis.interop.registry import FORMATS
from analysis.plans.history import History
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from analysis.tasks import scoring_of
from pages.components.state.demo import SAMPLE_SUBJECTS
from pages.components.state.subject_cache import subjects
from pruners.errors import UnsupportedError
from tests.pages.reading import SUBJECT, Open, assert_no_bug, plan_rows, shown, text_of

SPACES = "%\N{NO-BREAK SPACE}\N{THIN SPACE} "


def present(test: AppTest) -> History:
    history = test.session_state["plan_history"]
    assert isinstance(history, History)
    return history


def metric(test: AppTest, label: str) -> str:
    return next(str(item.value) for item in test.metric if item.label == label)


def fill_uniform(test: AppTest, percent: float) -> None:
    test.selectbox(key="plan_strategy").select("uniform").run()
    test.selectbox(key="plan_target_uniform").select("ratio").run()
    test.number_input(key="plan_amount_ratio").set_value(percent).run()
    test.button(key="plan_fill").click().run()
    assert_no_bug(test)


def test_a_plan_without_a_run_works_and_says_that_it_is_not_predicted(open_page: Open) -> None:
    test = open_page("5_Plan", subject=SUBJECT)
    assert_no_bug(test)
    assert "No measured run" in text_of(test)
    # Nothing is removed: there is no "before repair".
    assert not [item.label for item in test.metric if "repair" in item.label]
    fill_uniform(test, 50)
    assert {entry.ratio for entry in present(test).plan.entries} == {0.5}


def test_a_run_that_is_not_open_is_offered_and_the_plan_stays(
    open_page: Open, workspace: Path, templates: dict[str, tuple[Path, str]]
) -> None:
    shutil.copytree(templates["done"][0], workspace)
    test = open_page("5_Plan", subject=SUBJECT)
    assert "1 run of this subject" in text_of(test)
    fill_uniform(test, 50)
    test.button(key="plan_open_run").click().run()
    assert_no_bug(test)
    assert "of this subject" not in text_of(test)
    assert {entry.ratio for entry in present(test).plan.entries} == {0.5}


def test_a_run_of_another_subject_is_told_and_one_of_this_is_offered(
    open_page: Open, workspace: Path, templates: dict[str, tuple[Path, str]]
) -> None:
    shutil.copytree(templates["done"][0], workspace)
    other = dataclasses.replace(SUBJECT, seed=7)
    run_id = Store(workspace).runs.create(SweepSpec(subject=other, criteria=("l1",)))
    test = open_page("5_Plan", subject=SUBJECT, run=run_id)
    assert_no_bug(test)
    assert "The open run is of another subject" in text_of(test)
    assert test.button(key="plan_open_run").label == f"Open {templates['done'][1]}"


def test_fill_measures_at_once_and_undo_brings_everything_back(open_page: Open) -> None:
    test = open_page("5_Plan", "done")
    assert_no_bug(test)
    dense = metric(test, "Measured accuracy")
    assert dense.endswith("%")
    fill_uniform(test, 75)
    pruned = metric(test, "Measured accuracy after lsq")
    assert pruned.endswith("%")
    assert before_repair(test) < float(dense.strip(SPACES))
    assert "samples to go" not in text_of(test)
    test.button(key="sidebar_undo").click().run()
    assert metric(test, "Measured accuracy") == dense
    test.button(key="sidebar_redo").click().run()
    assert metric(test, "Measured accuracy after lsq") == pruned


def test_what_is_predicted_is_said_and_each_measured_plan_teaches(
    open_page: Open, workspace: Path
) -> None:
    test = open_page("5_Plan", "done")
    store = Store(workspace)
    identity = store.runs.get(test.query_params["run"]).identity  # type: ignore[arg-type]
    before = len(store.measurements.all(identity))
    fill_uniform(test, 75)
    (card,) = (item for item in test.metric if item.label.startswith("Predicted accuracy"))
    assert 0 <= float(str(card.value).rstrip(SPACES)) <= 100
    assert "put together on 120 samples" in card.help
    repair = present(test).plan.repair
    assert card.label.endswith("before repair") == (repair != "none")
    assert (f"no prediction after {repair}:" in card.help) == (repair != "none")
    known = store.measurements.all(identity)
    # As it is, and as it is repaired.
    assert [item.plan.repair for item in known[before:]] == ["none", repair]
    (note,) = (item.value for item in test.caption if "Before the repair" in item.value)
    shown = float(note.split("**")[1].rstrip(SPACES))
    assert round(100 * scoring_of("classification").score(known[before].sums), 2) == shown


def counts(test: AppTest) -> dict[str, tuple[float, int, int]]:
    """Return requested ratio, kept and total of each layer of the plan."""
    return {item.layer: (item.ratio, item.kept, item.total) for item in present(test).plan.entries}


def test_kept_channels_are_rounded_by_fills_and_by_an_action(open_page: Open) -> None:
    test = open_page("5_Plan", "done")
    fill_uniform(test, 40)
    plain = counts(test)
    assert plain["conv2"] == (0.4, 10, 16)
    test.selectbox(key="plan_multiple").select(4).run()
    assert counts(test) == plain
    test.button(key="plan_round").click().run()
    assert_no_bug(test)
    expected = {
        name: (ratio, min(-(-kept // 4) * 4, total), total)
        for name, (ratio, kept, total) in plain.items()
    }
    assert counts(test) == expected
    assert expected["conv2"] == (0.4, 12, 16)
    row = plan_rows(test)["conv2"]
    assert (row["ratio"], row["achieved"], row["stay"]) == (40.0, 25.0, "12 of 16 stay")
    test.button(key="sidebar_undo").click().run()
    assert counts(test) == plain
    fill_uniform(test, 40)
    assert counts(test) == expected


@pytest.mark.parametrize(("multiple", "reached"), [(4, True), (8, False)])
def test_budgets_count_after_rounding_and_locked_rows_stay(
    open_page: Open, multiple: int, reached: bool
) -> None:
    test = open_page("5_Plan", "done")
    plan = plans.lock(plans.set_kept(present(test).plan, "fc1", 117), "fc1")
    test.session_state["plan_history"] = present(test).do(plan, action="lock")
    test.selectbox(key="plan_multiple").select(multiple).run()
    test.selectbox(key="plan_strategy").select("uniform").run()
    test.selectbox(key="plan_target_uniform").select("macs").run()
    test.button(key="plan_fill").click().run()
    assert_no_bug(test)
    found = counts(test)
    assert found.pop("fc1")[1] == 117
    assert all(kept % multiple == 0 or kept == total for _, kept, total in found.values())
    subject = subjects().peek(SUBJECT)
    assert subject is not None
    assert (subject.meter.share(present(test).plan, "macs") <= 0.5) == reached
    # Six channels of the first layer cannot become fewer eights than one.
    assert ("out of reach" in text_of(test)) != reached


def test_rounding_is_of_channels_only(open_page: Open) -> None:
    test = open_page("5_Plan", "done")
    test.selectbox(key="plan_multiple").select(8).run()
    entries = [
        dataclasses.replace(entry, granularity="element", group=None, kept=total, total=total)
        for entry in present(test).plan.entries
        for total in [1000]
    ]
    plan = dataclasses.replace(present(test).plan, entries=tuple(entries))
    test.session_state["plan_history"] = present(test).do(plan, action="elements")
    test.run()
    assert test.selectbox(key="plan_multiple").disabled
    fill_uniform(test, 50)
    assert {entry.kept for entry in present(test).plan.entries} == {500}


def _without_onnx(*_given: object, **_more: object) -> None:
    raise UnsupportedError("onnx needs onnxruntime")


def test_measured_and_evaluated_accuracy_are_the_same(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = open_page("5_Plan", "done")
    fill_uniform(test, 50)
    live = metric(test, "Measured accuracy after lsq")
    test.switch_page("pages/6_Evaluate.py").run()
    test.button(key="evaluate_start").click().run()
    assert_no_bug(test)
    assert metric(test, "Accuracy after lsq") == live
    assert "Masked and physically removed agree on 120 of 120 samples" in text_of(test)
    # The repaired model in 8 bits beside float32, kept and shown on Trade-off.
    pytest.importorskip("onnxruntime")
    with monkeypatch.context() as patch:
        patch.setattr("pages.components.int8.deploy_plan", _without_onnx)
        test.button(key="evaluate_int8").click().run()
        assert [item.value for item in test.error] == ["Onnx needs onnxruntime."]
        assert "Samples that flip" in text_of(test)
    test.button(key="evaluate_int8").click().run()
    assert_no_bug(test)
    (shown,) = (item.value for item in test.dataframe if "Pruned, 8 bits" in item.value)
    assert list(shown.columns) == ["Dense", "Pruned", "Pruned, 8 bits"]
    assert shown.loc["Accuracy", "Pruned"] == live
    test.switch_page("pages/10_Trade-off.py").run()
    assert_no_bug(test)
    (rows,) = (item.value for item in test.dataframe if "Gzipped" in item.value)
    assert list(rows["Model"]) == list(shown.columns)
    assert list(rows["Accuracy"]) == list(shown.loc["Accuracy"])
    # The plan is a point in float32 and one in 8 bits; by file size the latter is smaller.
    test.segmented_control(key="trade_off_size").set_value("file").run()
    assert_no_bug(test)
    (chart,) = (json.loads(item.proto.spec) for item in test.get("plotly_chart"))
    sizes = {
        item.get("name"): np.frombuffer(base64.b64decode(item["x"]["bdata"]), item["x"]["dtype"])
        for item in chart["data"]
        if item["mode"] == "markers" and "bdata" in item["x"]
    }
    assert 0 < sizes["repaired by lsq, 8 bits"][0] < sizes["repaired by lsq"][0] < 1


def test_flips_are_shown_with_label_answers_and_confidence(
    open_page: Open, prepared: PreparedSubject
) -> None:
    """On Evaluate, the samples that flip and the confusion that changed."""
    test = open_page("5_Plan", "done")
    fill_uniform(test, 75)
    test.switch_page("pages/6_Evaluate.py").run()
    test.button(key="evaluate_start").click().run()
    assert_no_bug(test)
    found = test.session_state["evaluation_last"].evaluation
    assert found.answers.lost - found.answers.gained == round(120 * found.removed.drop)
    split = prepared.subject.evaluation
    assert split is not None
    flip = found.answers.flips[0]
    inputs, targets = split.part(flip.place, flip.place + 1)
    with torch.inference_mode():
        row = prepared.subject.model(inputs)[0].softmax(0)
    names = prepared.subject.class_names
    assert targets is not None
    assert (flip.label, flip.dense) == (names[int(targets[0])], names[int(row.argmax())])
    assert flip.dense_confidence == pytest.approx(float(row.max()), abs=1e-5)
    assert f"{found.answers.lost} right answers lost" in text_of(test)
    assert f"pruned: :red[:material/close:] {flip.pruned}" in text_of(test)
    shown = test.dataframe[-1].value
    assert shown["change"].tolist() == [item.change for item in found.answers.confusion]


def test_an_evaluation_is_stale_after_an_edit(open_page: Open) -> None:
    test = open_page("5_Plan", "done")
    fill_uniform(test, 50)
    test.switch_page("pages/6_Evaluate.py").run()
    test.button(key="evaluate_start").click().run()
    test.button(key="sidebar_undo").click().run()
    assert "removes nothing yet" in text_of(test)
    test.button(key="sidebar_redo").click().run()
    test.switch_page("pages/5_Plan.py").run()
    fill_uniform(test, 25)
    test.switch_page("pages/6_Evaluate.py").run()
    assert "has changed since this evaluation" in text_of(test)


def test_the_model_that_was_measured_is_the_one_that_is_exported(open_page: Open) -> None:
    """Found in the browser (1, 24): Export delivered the unrepaired weights after a repair.

    Plan, Evaluate and Export, also after a refresh and without Evaluate, are of one model.
    """
    test = open_page("5_Plan", "done")
    fill_uniform(test, 50)
    assert any("prunescope plans show p-" in item.value for item in test.sidebar.get("code"))
    assert present(test).plan.repair == "lsq"
    repaired = metric(test, "Measured accuracy after lsq")
    raw = before_repair(test)
    assert float(repaired.strip(SPACES)) > raw
    test.switch_page("pages/7_Export.py").run()
    assert "exported repaired by lsq" in text_of(test)
    assert_exported(test, "lsq", repaired)
    test.switch_page("pages/6_Evaluate.py").run()
    test.button(key="evaluate_start").click().run()
    assert_no_bug(test)
    assert "Masked and removed are repaired by lsq" in text_of(test)
    assert metric(test, "Accuracy after lsq") == repaired
    again = AppTest.from_file(test._script_path, default_timeout=60)
    for name in ("plan", "run"):
        again.query_params[name] = test.query_params[name]
    again.switch_page("pages/6_Evaluate.py").run()
    assert_no_bug(again)
    assert metric(again, "Accuracy after lsq") == repaired
    again.switch_page("pages/7_Export.py").run()
    assert f"Evaluated (repaired by lsq): accuracy **{repaired}**" in text_of(again)
    assert "--repair" not in text_of(again)
    assert_exported(again, "lsq", repaired)


def before_repair(test: AppTest) -> float:
    found = re.search(r"Before the repair: \*\*([\d.]+)", text_of(test))
    assert found is not None
    return float(found[1])


def assert_exported(test: AppTest, repair: str, accuracy: str) -> None:
    test.segmented_control(key="export_format").set_value("model").run()
    test.button(key="export_build").click().run()
    assert_no_bug(test)
    built = {file.name: file.content for file in test.session_state["exports"]["model"].files}
    card = json.loads(built["model.json"])
    assert card["repair"] == repair
    if "measured" in card:
        assert f"{card['measured']['accuracy']:.2%}"[:-1] in accuracy
    test.button(key="export_check").click().run()
    assert_no_bug(test)
    assert f"({float(accuracy.strip(SPACES)):.2f}%)" in text_of(test)


def test_the_repair_is_part_of_the_plan_and_of_its_history(open_page: Open) -> None:
    """Found in the browser (3): the repair was hidden on Evaluate, and no part of the plan."""
    test = open_page("5_Plan", "done")
    said = text_of(test)
    assert "Usual here: the layers behind what is removed are fitted to the dense ones, on " in said
    fill_uniform(test, 50)
    assert "repaired by lsq" in text_of(test)
    test.selectbox(key="plan_repair").select("none").run()
    assert_no_bug(test)
    raw = float(metric(test, "Measured accuracy").strip(SPACES))
    assert "Not repaired; usual here is lsq." in text_of(test)
    saved = Store(Path(os.environ["PRUNESCOPE_WORKSPACE"])).plans.get(test.query_params["plan"])
    assert saved.repair == "none"
    test.button(key="sidebar_undo").click().run()
    assert test.selectbox(key="plan_repair").value == "lsq"
    assert before_repair(test) == raw
    test.switch_page("pages/6_Evaluate.py").run()
    test.button(key="evaluate_start").click().run()
    test.selectbox(key="plan_repair").select("bn").run()
    assert "These numbers are of the model repaired by lsq" in text_of(test)
    test.button(key="evaluate_start").click().run()
    assert "no batch norm" in text_of(test)
    test.switch_page("pages/5_Plan.py").run()
    assert "no batch norm" in text_of(test)
    assert before_repair(test) == raw


def test_export_builds_the_files_and_checks_the_round_trip(open_page: Open) -> None:
    test = open_page("5_Plan", "done")
    fill_uniform(test, 50)
    test.switch_page("pages/7_Export.py").run()
    assert "not evaluated yet" in text_of(test)
    test.segmented_control(key="export_format").set_value("json").run()
    test.button(key="export_build").click().run()
    assert_no_bug(test)
    built = test.session_state["exports"]["json"]
    plan = json.loads(built.files[0].content)
    assert {entry["ratio"] for entry in plan["entries"]} == {0.5}
    assert all(len(entry["indices"]) == entry["kept"] for entry in plan["entries"])


def test_export_offers_onnx_or_says_what_to_install(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    test = open_page("5_Plan", "done")
    fill_uniform(test, 50)
    test.switch_page("pages/7_Export.py").run()
    test.segmented_control(key="export_format").set_value("onnx").run()
    test.button(key="export_build").click().run()
    assert_no_bug(test)
    assert [file.name for file in test.session_state["exports"]["onnx"].files] == ["model.onnx"]
    test.button(key="export_check").click().run()
    assert_no_bug(test)
    assert "outputs that onnxruntime computes" in text_of(test)
    test.segmented_control(key="export_form").set_value("masked").run()
    assert "the model's form or the subject has changed since" in text_of(test)
    test.toggle(key="export_sparse").set_value(True).run()
    test.button(key="export_build").click().run()
    assert_no_bug(test)
    built = test.session_state["exports"]["onnx"]
    assert built.files[0].about.startswith("the masked model; ")
    assert "sparse initializers" in built.notes[-1]
    assert "--form masked --sparse" in shown(text_of(test))
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    test.button(key="export_build").click().run()
    assert_no_bug(test)
    assert "pip install 'prunescope[onnx]'" in shown(text_of(test))
    # What the format is for is read where it is refused, too.
    assert FORMATS.get("onnx").help in text_of(test)


def test_a_link_to_a_plan_restores_it_and_an_edit_makes_a_copy(open_page: Open) -> None:
    first = open_page("5_Plan", "done")
    fill_uniform(first, 50)
    name, run = first.query_params["plan"], first.query_params["run"]
    second = AppTest.from_file(first._script_path, default_timeout=60)
    second.query_params["plan"], second.query_params["run"] = name, run
    second.switch_page("pages/5_Plan.py").run()
    assert_no_bug(second)
    assert {entry.ratio for entry in present(second).plan.entries} == {0.5}
    fill_uniform(second, 25)
    assert second.query_params["plan"] != name


@pytest.mark.parametrize("page", ["5_Plan", "6_Evaluate"])
def test_a_link_to_a_plan_shows_it_in_the_sidebar(page: str, open_page: Open) -> None:
    """The sidebar was drawn before the plan of the link: no totals and no undo till a click."""
    first = open_page("5_Plan", "done")
    fill_uniform(first, 50)
    second = AppTest.from_file(first._script_path, default_timeout=60)
    for name in ("plan", "run"):
        second.query_params[name] = first.query_params[name]
    second.switch_page(f"pages/{page}.py").run()
    assert_no_bug(second)
    assert "Plan" in [item.value for item in second.sidebar.caption]
    assert any("MACs" in str(item.value) for item in second.sidebar.markdown)
    assert second.button(key="sidebar_undo").disabled


def test_the_demo_is_one_click_away(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.components.home.DEMO", SUBJECT)
    test = open_page("Home")
    test.button(key="home_demo").click().run()
    assert_no_bug(test)
    assert test.session_state["subject_spec"] == SUBJECT.to_dict()


def test_other_samples_are_one_click_away(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [
        dataclasses.replace(sample, spec=dataclasses.replace(sample.spec, samples=32))
        for sample in SAMPLE_SUBJECTS
    ]
    monkeypatch.setattr("pages.components.home.SAMPLE_SUBJECTS", few)
    test = open_page("Home")
    for sample in few:
        test.button(key=f"home_{sample.spec.model}").click().run()
        assert_no_bug(test)
        assert test.session_state["subject_spec"] == sample.spec.to_dict()
        test.switch_page("app.py").run()


def test_a_wrong_address_is_one_clear_line(open_page: Open) -> None:
    test = open_page("1_Setup")
    test.text_input(key="setup_model_address").set_value("/etc/passwd.py:build")
    test.button(key="setup_check").click().run()
    assert_no_bug(test)
    assert "/etc/passwd.py" in test.error[0].value
    assert "\n" not in test.error[0].value


def test_starting_a_sweep_enters_a_run_and_attaches(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: SimpleNamespace(wait=lambda: 0))
    test = open_page("2_Sweep", subject=SUBJECT)
    assert_no_bug(test)
    test.segmented_control(key="sweep_grid").set_value("Quick look").run()
    test.button(key="sweep_start").click().run()
    assert_no_bug(test)
    assert "run" in test.query_params
    assert "Starting" in text_of(test) or any("Starting" in str(p.text) for p in test.progress)


def test_a_plan_follows_the_subject_to_other_samples(
    open_page: Open, other_subject: SubjectSpec
) -> None:
    test = open_page("5_Plan", "done")
    fill_uniform(test, 50)
    subjects().put(other_subject, LoadedSubject(prepare(load_subject(other_subject))))
    test.session_state["subject_spec"] = other_subject.to_dict()
    test.run()
    assert_no_bug(test)
    assert present(test).plan.subject == other_subject
    test.switch_page("pages/6_Evaluate.py").run()
    assert "Evaluate the plan" in text_of(test)


def test_cancel_asks_the_worker_to_stop(open_page: Open, workspace: object) -> None:
    test = open_page("2_Sweep", "running")
    test.button(key="sweep_cancel").click().run()
    assert_no_bug(test)
    assert Store(workspace).runs.get(test.query_params["run"]).cancel_requested  # type: ignore[arg-type]


def test_an_edit_of_the_plan_computes_only_what_it_changes(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found in review: each edit built all edits anew, and all envelopes twice."""
    counts: Counter[str] = Counter()
    for path in ("analysis.plans.apply.edit_for", "analysis.plans.prediction.envelope"):
        original = pkgutil.resolve_name(path)

        def counted(*args: Any, path: str = path, original: Any = original, **more: Any) -> Any:
            counts[path.rpartition(".")[2]] += 1
            return original(*args, **more)

        monkeypatch.setattr(path, counted)
    test = open_page("5_Plan", "done")
    fill_uniform(test, 50)
    count = len(present(test).plan.entries)
    # The fixture's subject may know edits of other tests.
    assert counts["envelope"] == 1
    assert counts["edit_for"] <= count
    counts.clear()
    for number, layer in enumerate(("conv2", "fc1", "conv2"), start=1):
        plan = plans.set_ratio(present(test).plan, layer, 0.1 * number)
        test.session_state["plan_history"] = present(test).do(plan, action="edit")
        test.run()
        assert_no_bug(test)
        assert counts == {"edit_for": number}


def test_the_page_has_one_tolerance(open_page: Open) -> None:
    """A field "Tolerance (pp)" stood beside another, "pp", and Fill used the second."""
    test = open_page("5_Plan", "done")
    (field,) = (item for item in test.number_input if "Tolerance" in item.label)
    # A goal is asked for in a sentence: "lose at most 1 pp".
    own = [item for item in test.number_input if not str(item.key).startswith("goal_")]
    assert not [item for item in own if item.label in ("pp", "%")]
    field.set_value(5.0).run()
    test.button(key="plan_fill").click().run()
    assert_no_bug(test)
    recipe = present(test).plan.recipe
    assert recipe is not None
    assert recipe.tolerance == 0.05
    test.selectbox(key="plan_target_threshold").select("macs").run()
    labels = [item.label for item in test.number_input]
    assert [name for name in labels if "Tolerance" in name] == [field.label]
    assert "MACs left (%)" in labels


def test_a_fill_takes_further_budgets_and_what_each_layer_keeps(open_page: Open) -> None:
    """What the command line can ask for, the page can."""
    test = open_page("5_Plan", "done")
    test.selectbox(key="plan_target_threshold").select("macs").run()
    test.number_input(key="plan_also_params").set_value(60.0).run()
    test.number_input(key="plan_min_kept").set_value(30.0).run()
    test.toggle(key="plan_cautious").set_value(True).run()
    test.button(key="plan_fill").click().run()
    assert_no_bug(test)
    recipe = present(test).plan.recipe
    assert recipe is not None
    assert recipe.budgets == ("macs=0.5", "params=0.6")
    assert (recipe.min_kept, recipe.cautious, recipe.equal) == (0.3, True, False)
    assert all(kept >= 0.3 * total for _, kept, total in counts(test).values())
    assert "`params=0.6`, at least 30.00" in text_of(test)


def test_one_ratio_everywhere(open_page: Open) -> None:
    """59.30 in the table, 59.40 on the slider and 59.38 achieved."""
    test = open_page("5_Plan", "done")
    fill_uniform(test, 59.38)
    row = next(iter(plan_rows(test).values()))
    (slider,) = (item for item in test.slider if item.label == "Ratio removed (%)")
    assert row["ratio"] == slider.value == 59.38
    assert f"Achieved {row['achieved']:.2f}" in text_of(test)
