"""``prunescope shrink`` and ``plan --strategy search``: from a goal to a measured model."""

from __future__ import annotations

import functools
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from analysis import shrinking
from analysis.cli import commands, main
from analysis.cli.answering import Answer
from analysis.cli.searching import Searched
from analysis.plans.files import read_plan
from analysis.search import frontier
from analysis.search.data import search_data
from analysis.search.frontier import FrontierUpdate, iter_frontier
from analysis.store.store import Store
from pruners.errors import CancelledError, StoreReadOnlyError

SUBJECT = ["--model", "sample:lenet5", "--data", "sample:fashion-mnist"]
SMALL = [*SUBJECT, "--samples", "200", "--calibration-samples", "64", "--criteria", "l1"]
FIELDS = (
    "state",
    *("dense_accuracy", "accuracy", "drop", "drop_low", "drop_high", "samples"),
    *("macs_left", "params_left", "repair", "seconds"),
    *("metric", "better"),
)


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches look at some hundred samples, not at 4,000."""
    few = functools.partial(search_data, samples=400)
    monkeypatch.setattr("analysis.search.search.search_data", few)


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main([*map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_from_a_goal_to_a_model_that_holds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plan, folder = tmp_path / "plan.json", tmp_path / "smaller"
    goal = ["--budget", "macs=0.7", "--trials", "2", "--workspace", tmp_path / "ws"]
    code, out, err = run(
        capsys, "shrink", *SMALL, *goal, "--out", plan, "--export", folder, "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    assert [name for name in found if name != "schema_version"] == [*FIELDS]
    assert (found["state"], found["samples"]) == ("done", 200)
    assert found["macs_left"] <= 0.7
    assert found["repair"] == "lsq"
    assert found["drop"] == pytest.approx(found["dense_accuracy"] - found["accuracy"])
    assert found["drop_low"] <= found["drop"] <= found["drop_high"]
    assert "other samples of the data" in err
    # What was measured is kept with the plan.
    kept = Store(tmp_path / "ws").evaluations.last(read_plan(plan))
    assert kept is not None
    assert kept.evaluation.removed.accuracy == found["accuracy"]
    # What was told is what the plan's own evaluation and the exported model give.
    code, out, err = run(
        capsys, "evaluate", "--plan", plan, "--latency-seconds", "0", "--json",
        *("--workspace", tmp_path / "ws"),
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["removed"]["accuracy"] == found["accuracy"]
    read = read_plan(plan)
    assert (read.strategy, read.repair) == ("search", "lsq")
    assert read.recipe is not None
    assert read.recipe.budgets == ("macs=0.7",)
    assert {item.name for item in folder.iterdir()} == {
        "model.safetensors",
        "rebuild.py",
        "model.json",
    }
    rebuilt = subprocess.run([sys.executable, folder / "rebuild.py"], capture_output=True)
    assert rebuilt.returncode == 0, rebuilt.stderr


def test_a_drop_that_holds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["shrink", *SMALL, "--max-drop", "0.05", "--trials", "3", "--workspace", tmp_path]
    code, out, err = run(capsys, *words)
    assert code == 0, err
    assert "Smaller model on 200 samples" in out
    assert "The search ended after 3 plans: all trials are done." in err
    code, out, err = run(capsys, *words, "--json")
    assert code == 0, err
    assert json.loads(out)["macs_left"] < 1
    assert "the dense model" not in err


def test_an_answer_that_removes_nothing_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A language model's search came to nothing in its minute, and only sizes told."""
    monkeypatch.setattr(
        commands.shrink, "answered", lambda prepared, start, *_, **__: Answer(start)
    )
    code, _, err = run(capsys, "shrink", *SMALL, "--max-drop", "0.05", "--workspace", tmp_path)
    assert code == 0, err
    assert "It is the dense model: nothing smaller was found that holds." in err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "shrink needs a goal: --max-drop 0.01, --budget macs=0.5, or both"),
        (["--max-drop", "0.01", "--budget", "drop=0.02"], "two budgets in drop"),
        (["--max-drop", "1.5"], "a drop of 150 pp cannot be: the score loses at most 100 pp"),
        (["--budget", "macs=0.5", "--confidence", "0.2"], "from 0.5 up to but not 1, found 0.2"),
        (["--budget", "macs=0.0001"], "out of reach"),
        (["--budget", "macs=0.5", "--repair", "magic"], "magic"),
        (["--budget", "macs=0.5", "--layers", "nothing*"], "nothing*"),
    ],
)
def test_bad_goals_in_one_line(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = run(capsys, "shrink", *SMALL, *words, "--workspace", tmp_path)
    assert code == 2
    assert out == ""
    assert line in err.splitlines()[-1]


def test_a_plan_by_search(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = ["--workspace", tmp_path / "ws"]
    ratios = ["--ratios", "0.5", "--repair", "none"]
    assert run(capsys, "sweep", *SMALL, *ratios, *home)[0] == 0
    out = tmp_path / "plan.json"
    words = ["plan", "--run", "last", "--strategy", "search", "--out", out, *home]
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "strategy search needs --budget" in err
    asked = ["--budget", "macs=0.8", "--trials", "1", "--repair", "none", "--json"]
    code, printed, err = run(capsys, *words, *asked)
    assert code == 0, err
    assert "the dense model" not in err
    drop = json.loads(printed)["measured"]["drop"]
    assert f"on the samples of the search: {100 * drop:.2f} pp" in err
    plan = read_plan(out)
    assert (plan.strategy, plan.repair) == ("search", "none")
    assert plan.run is not None
    monkeypatch.setattr(
        commands.plan, "searched", lambda prepared, start, *_, **__: Searched(start, 0.0)
    )
    code, _, err = run(capsys, *words, "--budget", "drop=0.01", "--repair", "none")
    assert code == 0, err
    assert "It is the dense model: nothing smaller was found that holds." in err


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("shrinking.iter_answer", ["shrink", *SMALL, "--max-drop", "0.1"]),
        ("shrinking.iter_timed", ["plan", "--strategy", "search", "--budget", "macs=0.5"]),
        ("search.iter_frontier", ["plan", "--frontier", "--levels", "0.5"]),
    ],
)
def test_ctrl_c_before_a_plan_is_130_and_the_command_goes_on(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    words: list[str],
) -> None:
    def stopped(*_: object, cancel: object = None, **__: object) -> Iterator[None]:
        signal.raise_signal(signal.SIGINT)
        raise CancelledError("stopped before a plan was found")
        yield

    home = ["--out", tmp_path / "out.json", "--workspace", tmp_path / "ws"]
    if words[0] == "plan":
        assert run(capsys, "sweep", *SMALL, "--ratios", "0.5", *home[2:])[0] == 0
        words = [*words, "--run", "last"]
    monkeypatch.setattr(f"analysis.{function}", stopped)
    for more in ([], ["--json"]):
        with listening():
            code, out, err = run(capsys, *words, *home, *more)
        assert code == 130
        assert "The same command goes on." in err.splitlines()[-1]
        if not more:
            assert out == ""
            continue
        found = json.loads(out)
        assert found["state"] == "cancelled"
        assert shlex.split(found["go_on"]) == ["prunescope", *map(str, [*words, *home, *more])]
        assert found.get("points", []) == []
    assert not (tmp_path / "out.json").exists()


@contextmanager
def listening() -> Iterator[None]:
    """Processes that run tests for others do not listen to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("iter_answer", ["shrink", *SMALL, "--budget", "macs=0.6", "--trials", "3"]),
        ("iter_timed", ["plan", "--strategy", "search", "--budget", "macs=0.6", "--trials", "3"]),
    ],
)
def test_a_search_that_ctrl_c_ends_says_so_and_goes_on_to_the_same_plan(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    words: list[str],
) -> None:
    """It was 0 and said nothing, as if it had been through."""
    usual = getattr(shrinking, function)

    def pressed(*args: Any, **options: Any) -> Iterator[Any]:
        """Press Ctrl-C once there is a plan."""
        is_pressed = False
        for update in usual(*args, **options):
            yield update
            state = (
                update.state if function == "iter_timed" else update.search and update.search.state
            )
            if state is not None and state.trials == 1 and not is_pressed:
                is_pressed = True
                signal.raise_signal(signal.SIGINT)

    out = tmp_path / "plan.json"
    home = ["--workspace", tmp_path / "ws"]
    if words[0] == "plan":
        assert run(capsys, "sweep", *SMALL, "--ratios", "0.5", *home)[0] == 0
        words = [*words, "--run", "last"]
    with monkeypatch.context() as patch, listening():
        patch.setattr(shrinking, function, pressed)
        code, printed, err = run(capsys, *words, "--out", out, "--json", *home)
    assert code == 130, err
    found = json.loads(printed)
    assert found["state"] == "cancelled"
    assert err.splitlines()[-1].endswith("so far. The same command goes on.")
    # What was found until then is an answer.
    assert read_plan(out).strategy == "search"
    assert found["macs_left" if words[0] == "shrink" else "params"] > 0
    code, printed, err = run(capsys, *shlex.split(found["go_on"])[1:])
    assert code == 0, err
    assert json.loads(printed)["state"] == "done"
    whole = ["--out", tmp_path / "whole.json", "--workspace", tmp_path / "other"]
    if words[0] == "plan":
        assert run(capsys, "sweep", *SMALL, "--ratios", "0.5", *whole[2:])[0] == 0
    assert run(capsys, *words, *whole)[0] == 0
    assert read_plan(out).entries == read_plan(tmp_path / "whole.json").entries


def refuse(*_: object) -> None:
    raise StoreReadOnlyError("the workspace may not be written")


def test_a_trade_off_on_the_command_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = ["--workspace", tmp_path / "ws"]
    assert run(capsys, "sweep", *SMALL, "--ratios", "0.5", *home)[0] == 0
    folder = tmp_path / "plans"
    words = ["plan", "--run", "last", "--frontier", "--out", folder, "--trials", "1", *home]
    words_of_two = [*words, "--levels", "0.8,0.6", "--json"]

    def stopped(*args: Any, **options: Any) -> Iterator[FrontierUpdate]:
        """Press Ctrl-C once two of the four plans are measured."""
        for update in iter_frontier(*args, **options):
            yield update
            if len(update.points) == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("analysis.search.iter_frontier", stopped)
        code, out, err = run(capsys, *words_of_two)
    assert code == 130, err
    part = json.loads(out)
    assert part["state"] == "cancelled"
    assert part["go_on"].startswith("prunescope plan --run last --frontier")
    assert "Stopped: 2 of 4 plans were measured. The same command goes on." in err
    assert all(Path(item["plan"]).exists() for item in part["points"])
    with monkeypatch.context() as patch:
        evaluated: list[object] = []
        usual = frontier.measure

        def noted(*given: Any) -> Iterator[Any]:
            evaluated.append(given)
            return usual(*given)

        patch.setattr(frontier, "measure", noted)
        code, out, err = run(capsys, *words_of_two)
    assert code == 0, err
    assert "Stopped" not in err
    # Two of the four were kept.
    assert len(evaluated) == 2
    found = json.loads(out)
    assert found["state"] == "done"
    points = found["points"]
    assert part["points"] == points[:2]
    assert [(item["level"], item["repair"]) for item in points] == [
        *((0.8, "lsq"), (0.6, "lsq"), (0.8, "none"), (0.6, "none")),
    ]
    for item in points:
        assert item["macs"] <= item["level"]
        assert item["drop_low"] <= item["drop"] <= item["drop_high"]
        assert item["samples"] == 200
        assert read_plan(Path(item["plan"])).repair == item["repair"]
    # What was searched before is kept: only printed now.
    code, out, err = run(capsys, *words, "--levels", "0.8,0.6,0.0001")
    assert code == 0, err
    assert "Trade-off" in out
    assert "macs-0.6-lsq.json" in out
    assert "Left out: at most 0.0\N{NO-BREAK SPACE}% of the MACs is out of reach" in err
    code, out, _ = run(capsys, *words, "--levels", "0.8,0.6,0.0001", "--json")
    found = json.loads(out)
    assert found["points"] == points
    assert [item["level"] for item in found["out_of_reach"]] == [0.0001]
    for wrong, line in (
        (["--levels", "0.8,1.5"], "--levels takes shares above 0 and below 1"),
        (["--budget", "macs=0.5"], "--frontier takes its sizes from --levels"),
    ):
        code, out, err = run(capsys, *words, *wrong)
        assert (code, out) == (2, "")
        assert line in err.splitlines()[-1]
    for path in folder.iterdir():
        path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr("analysis.evaluation.keep_subject", refuse)
        code, out, err = run(capsys, *words_of_two)
    assert code == 0, err
    assert "could not be kept: the workspace may not be written" in " ".join(err.split())
    assert json.loads(out)["points"] == points
    assert all(Path(item["plan"]).exists() for item in points)
