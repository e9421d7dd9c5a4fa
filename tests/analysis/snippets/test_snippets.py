"""What pages offer to copy: commands that the program takes, source that runs."""

from __future__ import annotations

import csv
import dataclasses
import json
import shlex
from pathlib import Path

import pytest

from analysis import snippets
from analysis.cli.app import main
from analysis.plans.editing import set_ratio
from analysis.plans.files import read_plan
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.snippets.verbs import Snippet
from analysis.store.store import Store
from tests.helpers.tiny_subject import tiny_sweep, write_subject


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where commands run and write."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_both(snippet: Snippet) -> dict[str, object]:
    for line in snippet.cli.splitlines():
        program, *words = shlex.split(line)
        assert program == "prunescope"
        assert main(words) == 0, line
    names: dict[str, object] = {}
    exec(compile(snippet.python, "snippet", "exec"), names)
    return names


def test_both_forms_do_the_same(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Copy as command and as Python, on every page."""
    spec = dataclasses.replace(tiny_sweep(write_subject(place)), repair="lsq", ratios=(0.5,))
    workspace = place / "work space"
    run_both(snippets.inspect_subject(spec.subject))
    names = run_both(snippets.run_sweep(spec, workspace))
    store = Store(workspace)
    first, second = store.runs.all()
    # Once begun, a run knows how many samples its probe has.
    asked = dataclasses.replace(spec, probe=first.total_samples)
    assert first.spec == second.spec == asked
    points = store.points.table(second.run_id)
    assert names["points"]["correct"].tolist() == points["correct"].tolist()  # type: ignore[index]
    run_both(snippets.read_curves(second.run_id, 0.01, workspace))
    with (place / "points.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(points)
    run_both(snippets.compare_criteria(second.run_id, 0.01, workspace))
    run_both(snippets.list_runs(workspace))
    assert second.run_id in capsys.readouterr().out


@pytest.mark.slow
def test_a_plan_of_the_dashboard_is_taken_to_the_command_line(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = dataclasses.replace(tiny_sweep(write_subject(place)), criteria=("l1",), ratios=(0.5,))
    workspace = place / "workspace"
    exec(snippets.run_sweep(spec, workspace).python, {})
    words = ["plan", "--run", "last", "--strategy", "uniform", "--ratio", "0.25", "--out", "a.json"]
    assert main([*words, "--workspace", str(workspace)]) == 0
    plan = read_plan(Path("a.json"))
    plan_id = Store(workspace).plans.save(set_ratio(plan, plan.entries[0].name, 0.5))
    run_both(snippets.take_plan(plan_id, workspace))
    assert read_plan(Path("plan.json")).entries[0].ratio == 0.5
    assert main(["plans", "list", "--json", "--workspace", str(workspace)]) == 0
    listed = json.loads(capsys.readouterr().out.splitlines()[-1])["plans"]
    assert [item["plan_id"] for item in listed] == [plan_id]
    repaired = plan.repaired_by("lsq")
    run_both(snippets.evaluate_plan(plan_id, repaired, workspace, int8=True))
    assert "in_8_bits" not in snippets.evaluate_plan(plan_id, repaired, workspace).python
    run_both(snippets.export_plan(plan_id, "model", repaired, workspace))
    assert (place / "exported" / "model.json").is_file()
    formed = snippets.export_plan(plan_id, "onnx", plan, workspace, form="masked", sparse=True)
    assert "--form masked --sparse" in formed.cli
    assert ", form='masked', sparse=True" in formed.python
    assert main(["plans", "show", "p-gone", "--workspace", str(workspace)]) == 2
    assert plan_id in capsys.readouterr().err


def test_source_leaves_out_what_is_usual() -> None:
    subject = SubjectSpec(model="a'b", data="npz:x#mean=0.5", samples=10)
    snippet = snippets.run_sweep(SweepSpec(subject=subject, criteria=("l1", "fpgm")), None)
    assert "batch_size" not in snippet.python
    assert "Store(Path('~/.prunescope'))" in snippet.python
    assert "--workspace" not in snippet.cli
    names: dict[str, object] = {}
    exec(snippet.python.split("store =")[0], names)
    assert names["spec"] == SweepSpec(subject=subject, criteria=("l1", "fpgm"))
