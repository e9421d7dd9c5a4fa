"""``recover`` by training and ``shrink --recover``: numbers, resume, refusals."""

from __future__ import annotations

import dataclasses
import json
import shlex
import signal
import time
from pathlib import Path

import pytest

from analysis import jobs
from analysis.cli.app import main
from analysis.plans.files import read_plan, write_plan
from analysis.retraining.jobs import Jobs
from analysis.retraining.presets import PRESETS
from analysis.search.verdict import TrainedJudge, Verdict
from analysis.store.store import Store
from tests.analysis.recovery.test_kept import halved, opened

STEPS = ["--steps", "4", "--batch-size", "32", "--lr", "0.02", "--selection", "0.02"]


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    """Return the options that name a plan and a workspace."""
    file = tmp_path / "plan.json"
    write_plan(halved(opened(tmp_path)), file)
    return ["--plan", str(file), "--workspace", str(tmp_path)]


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_training_ends_with_its_numbers_and_all_commands_know_it(
    place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object, whose accuracy evaluate gives again."""
    out = tmp_path / "out"
    assert main(["recover", *place, *STEPS, "--out", str(out), "--json"]) == 0
    found = said(capsys)
    for name in ("dense_accuracy", "pruned_accuracy", "repaired_accuracy", "accuracy"):
        assert 0 <= found[name] <= 1  # type: ignore[operator]
    assert found["drop_low"] <= found["drop"] <= found["drop_high"]  # type: ignore[operator]
    assert found["drop"] == pytest.approx(found["dense_accuracy"] - found["accuracy"])  # type: ignore[operator]
    assert found["samples"] == 60
    assert found["epochs"] > 0  # type: ignore[operator]
    # The plan beside the exported model is the trained one.
    plan = read_plan(out / "plan.json")
    assert plan.trained.startswith("finetune, ")
    again = ["--plan", str(out / "plan.json"), *place[2:]]
    assert main(["evaluate", *again, "--latency-seconds", "0", "--json"]) == 0
    evaluated = said(capsys)
    assert evaluated["removed"]["accuracy"] == found["accuracy"]  # type: ignore[index]
    assert evaluated["trained"] == plan.trained
    assert main(["plans", "show", str(found["plan_id"]), *place[2:]]) == 0
    assert f"trained: {plan.trained}" in capsys.readouterr().out
    assert main(["export", *again, "--out", str(tmp_path / "zip"), "--evaluate"]) == 0
    assert json.loads((tmp_path / "zip" / "model.json").read_text())["trained"] == plan.trained
    # More of the same, from there.
    capsys.readouterr()
    assert main(["recover", *again, *STEPS, "--json"]) == 0
    assert said(capsys)["repaired_accuracy"] == found["accuracy"]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("analysis.cli.training.open_store", "Stopped before the training began. The same command"),
        (
            "analysis.jobs.followed",
            "Stopped; there is no checkpoint yet. Go on: prunescope recover",
        ),
        (
            "analysis.cli.commands.recovering.recover._tell",
            "Stopped; the checkpoint is kept. Go on",
        ),
    ],
)
def test_a_training_that_is_stopped_says_what_it_leaves(
    where: str,
    kept: str,
    place: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At each moment it said that the checkpoint is kept, and how to resume what had not begun."""

    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(where, pressed)
        assert main(["recover", *place, *STEPS, "--json"]) == 130
    out, err = capsys.readouterr()
    assert err.splitlines()[-1].startswith(kept)
    words = shlex.split(json.loads(out)["go_on"])
    assert ("--resume" in words) is ("began" not in kept)
    if "no checkpoint" not in kept:
        # That one is worked on, for all that is known: this process lives.
        assert main(words[1:]) == 0


def test_a_training_that_is_stopped_at_once_has_no_step(
    place: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    followed, times = jobs.followed, []

    def pressed(*given: object) -> object:
        for job in followed(*given):  # type: ignore[arg-type]
            if not times:
                times.append(job)
                signal.raise_signal(signal.SIGINT)
            yield job

    monkeypatch.setattr(jobs, "followed", pressed)
    assert main(["recover", *place, *STEPS]) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("Stopped before the first step; go")


def test_ctrl_c_keeps_the_checkpoint_and_resume_goes_on(
    place: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said is what goes on."""
    followed, times = jobs.followed, []

    def pressed(*given: object) -> object:
        for job in followed(*given):  # type: ignore[arg-type]
            if job.progress.done == 1 and not times:
                times.append(job.progress.done)
                signal.raise_signal(signal.SIGINT)
            yield job

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "followed", pressed)
        assert main(["recover", *place, *STEPS]) == 130
    text = " ".join(capsys.readouterr().err.split())
    assert "Stopped at step 1 of 4; the checkpoint is kept" in text
    name = text.split("--resume ")[1].split()[0].rstrip(".")
    workspace = Path(place[-1])
    assert Jobs(workspace).get(name).state == "cancelled"
    assert not Store(workspace).plans.saved()
    assert main(["recover", "--resume", "last", *place[2:], "--json"]) == 0
    assert said(capsys)["job"] == name
    assert main(["recover", "--resume", name, *place[2:], "--json"]) == 0
    assert main(["recover", *place, "--resume", name]) == 2
    known = Jobs(workspace)
    now = dataclasses.replace(known.get(name), state="running", changed=time.time())
    known.save(now)
    assert main(["recover", "--resume", name, *place[2:]]) == 2
    assert "worked on by another process" in capsys.readouterr().err


BAD = (
    (["--method", "lsq", "--epochs", "1"], "repairs without training"),
    (["--method", "nosuch"], "finetune"),
    (["--epochs", "0"], "epochs must be above 0"),
    (["--distill", "2"], "distill"),
    (["--steps", "3", "--minutes", "1"], "give one"),
    (["--lr", "fast"], "--lr takes a number or auto"),
    (["--preset", "slow"], "quick"),
    (["--seeds", "2"], "of training"),
    (["--recipe", "gone.json"], "cannot be read"),
    (["--schedule", "nosuch"], "cosine"),
)


def test_bad_options_are_one_line(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for options, words in BAD:
        assert main(["recover", *place, *options]) == 2
        error = capsys.readouterr().err.strip()
        assert words in error
        assert "\n" not in error


def test_a_recipe_file_is_read_and_options_take_its_place(
    place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps({"steps": 9, "distill": 0.5, "batch_size": 32, "lr": 0.02}))
    options = ["--recipe", str(file), "--steps", "2", "--preset", "standard"]
    assert main(["recover", *place, *options, "--seeds", "2"]) == 0
    assert "Mean over 2 seeds: accuracy " in capsys.readouterr().err
    (job,) = Jobs(Path(place[-1])).all()
    recipe = job.order.recipe
    assert (recipe.steps, recipe.distill, recipe.temperature) == (2, 0.5, 4.0)
    assert "distilled" in Store(Path(place[-1])).plans.get(job.plan_ids[0]).trained
    file.write_text('{"epoch": 3}')
    assert main(["recover", *place, "--recipe", str(file)]) == 2
    assert "unknown field epoch" in capsys.readouterr().err


def test_shrink_answers_with_the_trained_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop closed, in one command."""
    for name, value in {"steps": 2, "batch_size": 32, "lr": 0.02}.items():
        monkeypatch.setitem(PRESETS.get("quick").fields, name, value)
    command = [
        *("shrink", "--model", "sample:lenet5", "--data", "sample:fashion-mnist"),
        *("--samples", "200", "--calibration-samples", "64", "--budget", "macs=0.6"),
        *("--trials", "2", "--workspace", str(tmp_path)),
        *("--out", str(tmp_path / "p.json"), "--export", str(tmp_path / "m")),
    ]
    assert main([*command, "--recover", "nosuch"]) == 2
    capsys.readouterr()
    assert main([*command, "--recover", "quick", "--json"]) == 0
    found = said(capsys)
    plan = read_plan(tmp_path / "p.json")
    assert found["training"]["id"] == plan.training  # type: ignore[index]
    assert found["macs_left"] <= 0.6  # type: ignore[operator]
    assert json.loads((tmp_path / "m" / "model.json").read_text())["trained"] == plan.trained
    kept = Store(tmp_path).evaluations.last(plan)
    assert kept is not None
    assert kept.evaluation.removed.accuracy == found["accuracy"]


def test_shrink_trains_on_named_data_and_says_what_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search before a training may lose more than was asked for."""
    for name, value in {"steps": 2, "batch_size": 32, "lr": 0.02}.items():
        monkeypatch.setitem(PRESETS.get("quick").fields, name, value)
    # Two steps give nothing back; how plans are judged has tests of its own.
    verdict = Verdict(0.01, 0.02, holds=True)
    monkeypatch.setattr(TrainedJudge, "judge", lambda self, plan: verdict)
    command = [
        *("shrink", "--model", "sample:lenet5", "--data", "sample:fashion-mnist"),
        *("--samples", "200", "--calibration-samples", "64", "--max-drop", "0.05"),
        *("--criteria", "l1", "--trials", "1", "--workspace", str(tmp_path)),
    ]
    assert main([*command, "--train-data", "sample:fashion-mnist"]) == 2
    assert "--train-data needs --recover" in capsys.readouterr().err
    assert main([*command, "--recover", "quick", "--train-data", "images:nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err.splitlines()[-1]
    assert main([*command, "--recover", "quick", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert "(at most 15.00 pp lost before the training)" in err
    assert "Trained, it loses" in err
    assert found["macs_left"] < 1
    assert found["training"]["preset"] == "quick"
    plan = Store(tmp_path).plans.get(found["training"]["plan_id"])
    assert (plan.training, plan.trained) == (found["training"]["id"], found["training"]["trained"])
    assert plan.recipe is not None
    assert plan.recipe.budgets == ("drop=0.05",)
