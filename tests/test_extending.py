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

import pandas as pd
import pytest
import torch
from streamlit.testing.v1 import AppTest

from analysis.allocation import STRATEGIES
from analysis.cli import main
from analysis.cli.docs_table import with_tables
from analysis.interop import FORMATS
from analysis.records import SubjectSpec
from analysis.repairs import REPAIRS
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
    assert "Noise" in page.selectbox(key="setup_data_kind").options
    page.selectbox(key="setup_data_kind").set_value("noise").run()
    page.text_input(key="setup_data_noise_name").set_value("64").run()
    assert page.text_input(key="setup_data_address").value == "noise:64"


def test_nothing_of_it_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert "louder" not in REPAIRS
    assert main(["sweep", "--help"]) == 0
    assert "louder" not in capsys.readouterr().out


def test_it_works_from_the_sweep_to_the_export(
    extended: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--workspace", str(tmp_path / "workspace"), "--json"]
    plan, out = tmp_path / "plan.json", tmp_path / "out"

    def run(*words: str) -> dict[str, object]:
        assert main([*words, *place]) == 0, capsys.readouterr().err
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

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


def test_another_task_has_other_numbers(
    extended: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--workspace", str(tmp_path / "workspace"), "--json"]
    sweep = ["sweep", "--model", write_subject(tmp_path).model, "--data", "noise:96"]
    sweep += ["--calibration-samples", "16", "--criteria", "l1", "--ratios", "0.5"]
    found = {}
    for task in ("classification", "top2"):
        assert main([*sweep, "--task", task, *place]) == 0, capsys.readouterr().err
        found[task] = json.loads(capsys.readouterr().out)["baseline"]
    assert found["top2"]["samples"] == found["classification"]["samples"]
    # Nothing that is known of one task is taken for the other, in the same workspace.
    assert found["top2"]["correct"] > found["classification"]["correct"]
    subject = load_subject(
        SubjectSpec(model=write_subject(tmp_path).model, data="noise:96", calibration_samples=16)
    )
    assert subject.evaluation is not None
    inputs, labels = subject.evaluation.part(0, len(subject.evaluation))
    assert labels is not None
    with torch.inference_mode():
        top = subject.model(inputs).topk(2, dim=1).indices
    assert found["top2"]["correct"] == int((top == labels[:, None]).any(1).sum())
    assert found["classification"]["correct"] == int((top[:, 0] == labels).sum())


def test_what_is_not_known_is_refused_in_one_line(
    extended: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["sweep", "--model", "sample:lenet5", "--data", "noise:96", "--repair", "loder"]
    assert main([*sweep, "--workspace", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "prunescope: unknown repair 'loder'; known: bn, louder, lsq, none; did you mean louder?\n"
    )
