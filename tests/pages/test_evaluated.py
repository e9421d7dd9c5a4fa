"""What Plan measures is what Evaluate tells and Export writes."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from analysis.edits import PreparedSubject
from analysis.interop.registry import FORMATS
from analysis.store.store import Store
from pruners.errors import UnsupportedError
from tests.pages.acting import SPACES, before_repair, fill_uniform, metric, present
from tests.pages.reading import Open, assert_no_bug, shown, text_of


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
    (beside,) = (item.value for item in test.dataframe if "Masked" in item.value)
    # A phone shows two.
    assert list(beside.columns) == ["Dense", "Removed", "Masked"]
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
