"""Ctrl-C: 130, one last line on how to go on, and with ``--json`` one object, in every command."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from analysis.cli.app import COMMANDS as COMMANDS_OF_ALL
from analysis.cli.app import build_app
from analysis.cli.options import WORKSPACE_VARIABLE
from analysis.cli.output import print_json
from analysis.cli.stopping import WITH_WORKSPACE, resuming
from analysis.plans.files import write_plan
from analysis.store.store import Store
from tests.analysis.recovery.test_kept import halved, opened
from tests.helpers.command_line import Run
from tests.helpers.tiny_subject import write_subject
from tests.test_architecture import ROOT

PLAN = ["--plan", "{plan}"]
# Where it comes, and what was asked for.
COMMANDS = [
    ("analysis.subjects.load_subject", ["inspect", "--model", "sample:lenet5"]),
    ("analysis.store.Store", ["sweep", "--model", "m", "--data", "d"]),
    ("analysis.cli.commands.plan.prepare_subject", ["plan", "--run", "last", "--out", "p.json"]),
    ("analysis.sweeps.spec_of_options", ["shrink", "--model", "m", "--max-drop", "0.1"]),
    ("analysis.evaluation.evaluate_plan", ["evaluate", *PLAN]),
    ("analysis.recovery.report", ["recover", *PLAN, "--method", "lsq"]),
    ("analysis.interop.export", ["export", *PLAN, "--out", "{folder}/out"]),
    ("analysis.reporting.write_report", ["report", *PLAN, "--out", "{folder}/report.html"]),
    ("analysis.imports.format_of", ["import", "{plan}"]),
    ("analysis.store.runs.RunStore.merge", ["runs", "merge", "one", "other"]),
    ("analysis.comparison.compare_plans", ["plans", "compare", "{plan}", "{plan}"]),
    ("analysis.recovery.training.join", ["join", "{folder}/meeting"]),
]


def pressed(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def plan(folder: Path) -> Path:
    path = folder / "plan.json"
    write_plan(halved(opened(folder)), path)
    return path


@pytest.mark.parametrize(("place", "words"), COMMANDS, ids=[words[0] for _, words in COMMANDS])
def test_every_command_says_that_it_was_stopped(
    place: str,
    words: list[str],
    run: Run,
    plan: Path,
    swept: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = [word.format(plan=plan, folder=folder) for word in words]
    if place == "analysis.store.Store":
        monkeypatch.setattr(Store, "__init__", pressed)
    else:
        monkeypatch.setattr(place, pressed)
    # Where one goes on, the environment may say nothing.
    at = ["--workspace", os.environ[WORKSPACE_VARIABLE]] if given[0] in WITH_WORKSPACE else []
    for more in ([], ["--json"]):
        code, out, err = run(*given, *more)
        assert code == 130, err
        go_on = shlex.join(["prunescope", *given, *more, *at])
        keeps = given[0] in ("sweep", "plan", "shrink", "recover")
        last = f"Stopped. Go on: {go_on}" if keeps else "Stopped. The same command begins anew."
        assert err.splitlines()[-1] == last
        if more:
            found = json.loads(out)
            assert (found["state"], found["go_on"]) == ("cancelled", go_on)
        else:
            assert out == ""


def test_a_command_that_names_its_workspace_goes_on_as_it_is(
    run: Run, plan: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.sweeps.spec_of_options", pressed)
    given = ["shrink", "--model", "m", "--max-drop", "0.1", f"--workspace={folder}", "--json"]
    _, out, err = run(*given)
    assert shlex.split(json.loads(out)["go_on"]) == ["prunescope", *given]
    assert err.splitlines()[-1] == "Stopped. The same command goes on."
    monkeypatch.delenv(WORKSPACE_VARIABLE)
    del given[-2]
    assert shlex.split(json.loads(run(*given)[1])["go_on"]) == ["prunescope", *given]


def test_it_is_known_which_commands_work_in_a_workspace() -> None:
    found = set()
    for name in COMMANDS_OF_ALL:
        command = typer.main.get_command(build_app(name))
        # A program of one command is that command's.
        inner = getattr(command, "commands", {}).get(name, command)
        each = getattr(inner, "commands", {name: inner}).values()
        if any("--workspace" in option.opts for item in each for option in item.params):
            found.add(name)
    assert found == WITH_WORKSPACE


def test_a_sweep_that_is_stopped_after_it_measured_names_its_run(
    run: Run, subject: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that it named was of another workspace, and nothing was printed."""
    out, place = folder / "points.csv", folder / "elsewhere"
    words = ["sweep", *subject, "--criteria", "l1", "--ratios", "0.5", "--out", out]
    with monkeypatch.context() as patch:
        patch.setattr("analysis.curves.write_points", pressed)
        code, printed, err = run(*words, "--workspace", place, "--json")
    assert code == 130, err
    found = json.loads(printed)
    assert err.splitlines()[-1].endswith(f"Go on: {found['go_on']}")
    code, printed, err = run(*shlex.split(found["go_on"])[1:])
    assert code == 0, err
    assert json.loads(printed)["state"] == "done"
    assert out.exists()
    assert [row.state for row in Store(place).runs.all()] == ["done"]


def test_what_goes_on_names_the_workspace_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be run where the environment says nothing."""
    monkeypatch.delenv(WORKSPACE_VARIABLE, raising=False)
    options: dict[str, Any] = {"out": None, "workspace": None, "as_json": False}
    assert resuming("sweep", "r", **options) == "prunescope sweep --resume r"
    monkeypatch.setenv(WORKSPACE_VARIABLE, "here & there")
    words = shlex.split(resuming("sweep", "r", **options))
    assert words[words.index("--workspace") + 1] == "here & there"


@pytest.mark.parametrize("devices", ["cpu", "cpu,cpu"])
def test_what_a_users_file_prints_is_beside_the_answer(tmp_path: Path, devices: str) -> None:
    """A file that prints made standard output no JSON object; so did each process of a sweep."""
    spec = write_subject(tmp_path)
    assert spec.data is not None
    file = Path(spec.model.rpartition(":")[0])
    file.write_text(f"print('hello')\n{file.read_text(encoding='utf-8')}", encoding="utf-8")
    words = ["sweep", "--model", spec.model, "--data", spec.data, "--samples", "32"]
    words += ["--criteria", "l1", "--ratios", "0.5", "--device", devices, "--json"]
    found = subprocess.run(
        [sys.executable, "-m", "analysis", *words, "--workspace", str(tmp_path / "ws")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["state"] == "done"
    assert found.stderr.count("hello") >= len(devices.split(","))


def test_there_is_one_object_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between the object and the remarks below it."""
    monkeypatch.setattr("analysis.cli.commands.inspect.say_notes", pressed)
    code, out, _ = run("inspect", "--model", "sample:lenet5", "--json")
    assert code == 130
    assert json.loads(out)["params"] > 0


MODEL = """
import atexit, os, signal, time
from torch import nn

{top}

def factory():
    # Ctrl-C comes again, if the command is not through before.
    for _ in range(50):
        time.sleep(0.02)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
"""
LOADED = """
try:
    import swallows
except ImportError:
    pass
"""
SWALLOWS = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.5)
except BaseException:
    raise ImportError("not installed")
"""
LATE = "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))"


@pytest.mark.parametrize(("top", "code"), [(LOADED, 130), (LATE, 0)])
def test_ctrl_c_while_a_library_is_loaded_and_when_all_is_said(
    top: str, code: int, tmp_path: Path
) -> None:
    """Libraries go on without what they could not load, and the exit code was none of ours."""
    (tmp_path / "own.py").write_text(MODEL.format(top=top))
    (tmp_path / "libraries").mkdir()
    (tmp_path / "libraries" / "swallows.py").write_text(SWALLOWS)
    address = f"{tmp_path / 'own.py'}:factory#input=3,8,8"
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "inspect", "--model", address, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path / 'libraries'}"},
        # Where tests run in the background, Ctrl-C is ignored from the start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout)
    assert found.get("state") == ("cancelled" if code else None)


def test_an_object_that_was_printed_is_remembered_by_command(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_json({})
    capsys.readouterr()
    monkeypatch.setattr("analysis.subjects.load_subject", pressed)
    assert json.loads(run("inspect", "--model", "m", "--json")[1])["state"] == "cancelled"
