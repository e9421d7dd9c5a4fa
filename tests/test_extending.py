"""Adding a strategy, repair, executor, format, data scheme or task is one file and one import.

The files are those of `tests.extensions`; nothing else knows of them.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from analysis.allocation import STRATEGIES
from analysis.cli import main
from analysis.cli.docs_table import with_tables
from analysis.edits import prepare
from analysis.interop import FORMATS, round_trip
from analysis.plans import read_plan
from analysis.records import SubjectSpec
from analysis.repairs import REPAIRS
from analysis.store import Store
from analysis.subjects import DATA_SCHEMES, load_subject
from analysis.sweeps import OPTIONS
from analysis.sweeps.executors import EXECUTORS
from analysis.tasks import TASKS
from pages.components.plan import fill
from pages.components.sweep import form
from tests.helpers.tiny_subject import write_subject

DOCS = Path(__file__).resolve().parent.parent / "docs"
REGISTRIES = (STRATEGIES, REPAIRS, EXECUTORS, FORMATS, DATA_SCHEMES, TASKS)
FILES = ("strategy", "repair", "executor", "export_format", "data_scheme", "task")
# Command, option -> what is offered there; the data scheme is a part of an address.
OFFERED = {
    ("plan", "--strategy"): "alternate",
    ("sweep", "--repair"): "louder",
    ("evaluate", "--repair"): "louder",
    ("recover", "--method"): "louder",
    ("export", "--repair"): "louder",
    ("sweep", "--executor"): "counting",
    ("export", "--format"): "names",
    ("sweep", "--task"): "top2",
}


@pytest.fixture
def extended() -> Iterator[None]:
    """Import the files, and forget what they registered."""
    with ExitStack() as stack:
        for registry in REGISTRIES:
            stack.enter_context(registry.restored())
        for name in FILES:
            sys.modules.pop(f"tests.extensions.{name}", None)
            importlib.import_module(f"tests.extensions.{name}")
        yield


def words_after(text: str, option: str) -> str:
    """Return what a help text or a table says of an option."""
    rest = text.split(option, 1)[1]
    return " ".join(rest.split("--", 1)[0].split())


@pytest.mark.parametrize(("command", "option"), OFFERED)
def test_the_command_line_offers_it(
    command: str, option: str, extended: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    assert OFFERED[command, option] in words_after(capsys.readouterr().out, f"{option} ")


@pytest.mark.parametrize(("command", "option"), OFFERED)
def test_the_docs_list_it(command: str, option: str, extended: None) -> None:
    page = with_tables((DOCS / "cli.md").read_text("utf-8"))
    section = page.split(f"## prunescope {command}\n")[1].split("\n## ")[0]
    row = section.split(f"| `{option} ")[1].split("\n")[0]
    assert f"{OFFERED[command, option]}: " in row


def test_pages_offer_it(extended: None) -> None:
    assert "louder" in form.entries_of(OPTIONS.get("repair"))
    assert "alternate" in fill.strategies(pd.DataFrame())
    page = AppTest.from_string("from pages.components.setup.form import form\nform(None)").run()
    assert not page.exception
    assert "Top two" in page.selectbox(key="setup_task").options
    # The data say what they are for, unless somebody chooses.
    assert page.selectbox(key="setup_task").options[0] == "What the data are for"
    assert page.selectbox(key="setup_task").value == ""
    assert "Noise" in page.selectbox(key="setup_data_kind").options
    page.selectbox(key="setup_data_kind").set_value("noise").run()
    page.text_input(key="setup_data_noise_name").set_value("64").run()
    assert page.text_input(key="setup_data_address").value == "noise:64"


def test_nothing_of_it_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert "louder" not in REPAIRS
    assert main(["sweep", "--help"]) == 0
    assert "louder" not in capsys.readouterr().out


def test_it_works_from_the_sweep_to_the_export(
    extended: None, tmp_path: Path, run: Commands
) -> None:
    plan, out = tmp_path / "plan.json", tmp_path / "out"
    sweep = ["sweep", "--model", write_subject(tmp_path).model, "--data", "noise:96"]
    sweep += ["--calibration-samples", "16", "--batch-size", "40", "--criteria", "l1"]
    found = run(*sweep, "--ratios", "0.5", "--repair", "louder", "--executor", "counting")
    assert found["points"] == 2
    assert found["baseline"]["samples"] == 80
    assert sorted(set(sys.modules["tests.extensions.executor"].MEASURED)) == [0, 1, 2]

    chosen = ["--strategy", "alternate", "--ratio", "0.5", "--out", str(plan)]
    found = run("plan", "--run", "last", *chosen)
    kept = [(item["kept"], item["total"]) for item in found["plan"]["entries"]]
    assert kept == [(3, 6), (8, 8)]

    found = run("evaluate", "--plan", str(plan), "--repair", "louder", "--latency-seconds", "0")
    assert found["repair"] == "louder"
    assert found["same_answers"] == found["samples"]
    found = run("recover", "--plan", str(plan), "--method", "louder")
    assert found["method"] == "louder"
    found = run("export", "--plan", str(plan), "--format", "names", "--out", str(out))
    assert found["format"] == "names"
    assert (out / "names.txt").read_text() == "0"


class Commands:
    """Runs commands on one workspace and reads their JSON.

    Args:
        place: Its folder.
        capsys: Catches what they print.
    """

    def __init__(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.place, self._capsys = place, capsys

    def __call__(self, *words: str) -> dict[str, Any]:
        code = main([*words, "--workspace", str(self.place), "--json"])
        printed = self._capsys.readouterr()
        assert code == 0, printed.err
        found: dict[str, Any] = json.loads(printed.out)
        return found

    def text(self, *words: str) -> str:
        assert main([*words, "--workspace", str(self.place)]) == 0
        return " ".join(self._capsys.readouterr().out.split())


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path / "workspace", capsys)


def sweep_of(tmp_path: Path, *more: str) -> list[str]:
    words = ["sweep", "--model", write_subject(tmp_path).model, "--data", "noise:96", *more]
    return [*words, "--calibration-samples", "16", "--criteria", "l1", "--ratios", "0.25,0.5"]


def test_another_task_has_other_numbers(extended: None, tmp_path: Path, run: Commands) -> None:
    """Nothing asks a task for the terms of classification."""
    found = {
        task: run(*sweep_of(tmp_path), "--task", task)["baseline"]
        for task in ("classification", "top2")
    }
    assert found["top2"]["samples"] == found["classification"]["samples"]
    subject = load_subject(
        SubjectSpec(model=write_subject(tmp_path).model, data="noise:96", calibration_samples=16)
    )
    assert subject.evaluation is not None
    inputs, labels = subject.evaluation.part(0, len(subject.evaluation))
    assert labels is not None
    with torch.inference_mode():
        top = subject.model(inputs).topk(2, dim=1).indices
    misses = int((top != labels[:, None]).all(1).sum())
    # Nothing that is known of one task is taken for the other, in the same workspace.
    assert found["top2"] == {"samples": 80, "miss_rate": misses / 80}
    assert found["classification"]["correct"] == int((top[:, 0] == labels).sum())


def test_another_task_goes_the_whole_way(extended: None, tmp_path: Path, run: Commands) -> None:
    """Terms, columns, words, unit, direction and tolerance are the task's."""
    plan, table = tmp_path / "plan.json", tmp_path / "points.csv"
    sweep = [*sweep_of(tmp_path), "--task", "top2"]
    adaptive = run(*sweep, "--mode", "adaptive", "--layers", "2")
    assert adaptive["state"] == "done"
    assert run("runs", "show", "last")["spec"]["tolerance"] == 0.02
    exhaustive = run(*sweep)
    misses = exhaustive["baseline"]["miss_rate"]
    assert f"dense miss rate {100 * misses:.1f}%" in run.text("runs", "show", "last")
    run("runs", "show", "last", "--out", str(table))
    points = pd.read_csv(table)
    assert {"miss_rate", "miss_rate_rise", "shift"} < set(points)
    assert not {"correct", "accuracy", "accuracy_drop", "loss", "kl", "agreement"} & set(points)
    dense = points["miss_rate"] - points["miss_rate_rise"]
    assert dense.tolist() == pytest.approx([misses] * len(points))

    run("plan", "--run", "last", "--strategy", "uniform", "--ratio", "0.5", "--out", str(plan))
    found = run("evaluate", "--plan", str(plan), "--latency-seconds", "0")
    removed = found["removed"]
    assert (80 * removed["miss_rate"]).is_integer()
    assert removed["measures"].keys() == {"shift"}
    assert removed["drop"] == pytest.approx(removed["miss_rate"] - found["dense"]["miss_rate"])
    assert (found["metric"], found["better"]) == ("miss_rate", "lower")
    assert (found["same_answers"], found["classes"]) == (80, [])
    shown = run.text("evaluate", "--plan", str(plan), "--latency-seconds", "0")
    assert f"{100 * removed['miss_rate']:.1f}%" in shown
    assert "rise points" in shown
    assert run("recover", "--plan", str(plan))["pruned"]["correct"] is None

    out = tmp_path / "out"
    run("export", "--plan", str(plan), "--out", str(out), "--evaluate")
    card = json.loads((out / "model.json").read_text())["measured"]
    assert (card["miss_rate"], card["dense_miss_rate"]) == (removed["miss_rate"], misses)
    assert f"{100 * removed['miss_rate']:.1f}%" in (out / "README.md").read_text()
    store = Store(run.place)
    row = store.runs.get("last")
    checked = round_trip(
        prepare(load_subject(row.spec.subject)),
        read_plan(plan),
        points=store.points.table(row.run_id),
    )
    assert checked.passed, checked
    assert "miss rate: " in " ".join(check.text for check in checked.checks)


def test_pages_speak_the_words_of_another_task(
    extended: None, tmp_path: Path, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Curves, plan and evaluation of a task with other terms."""
    monkeypatch.setenv("PRUNESCOPE_WORKSPACE", str(run.place))
    monkeypatch.setenv("PRUNESCOPE_ROOTS", json.dumps([str(tmp_path)]))
    st.cache_data.clear()
    st.cache_resource.clear()
    run_id = run(*sweep_of(tmp_path), "--task", "top2")["run_id"]
    app = AppTest.from_file(str(DOCS.parent / "app.py"), default_timeout=60)
    app.query_params["run"] = run_id
    app.switch_page("pages/3_Curves.py").run()
    assert not app.exception
    assert not app.error
    assert app.selectbox(key="choose_metric").options == [
        *("Rise of misses", "Miss rate", "Mean shift of the logits")
    ]
    limit = app.number_input(key="choose_tolerance")
    assert (limit.label, limit.value) == ("Tolerance (points)", 2.0)
    for name in ("accuracy", "shift"):
        app.selectbox(key="choose_metric").set_value(name).run()
        assert not app.exception
        assert not app.error
    app.switch_page("pages/5_Plan.py").run()
    app.selectbox(key="plan_strategy").set_value("uniform").run()
    app.button(key="plan_fill").click().run()
    assert not app.exception
    assert not app.error
    assert "Measured miss rate after lsq" in [metric.label for metric in app.metric]
    app.switch_page("pages/6_Evaluate.py").run()
    app.button(key="evaluate_start").click().run()
    assert not app.exception
    assert "Miss rate after lsq" in [metric.label for metric in app.metric]
    st.cache_resource.clear()


def test_what_is_not_known_is_refused_in_one_line(
    extended: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["sweep", "--model", "sample:lenet5", "--data", "noise:96", "--repair", "loder"]
    assert main([*sweep, "--workspace", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "prunescope: unknown repair 'loder'; known: bn, louder, lsq, none; did you mean louder?\n"
    )
