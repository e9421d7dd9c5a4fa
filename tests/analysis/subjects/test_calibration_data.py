"""Calibration never sees what is evaluated, and takes nothing from it where nothing needs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.cli import main
from analysis.records import SubjectSpec
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from analysis.sweeps.request import spec_of_options
from pruners.errors import InputError
from tests.helpers.tiny_subject import write_images, write_subject

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("PRUNESCOPE_WORKSPACE", str(tmp_path / "workspace"))

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(item) for item in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.mark.parametrize(
    ("options", "evaluated", "calibrating"),
    [
        ({"criteria": "l1"}, 240, 0),
        ({"criteria": "l1", "samples": 100}, 100, 0),
        ({"criteria": "l1", "calibration_samples": 0}, 240, 0),
        ({"criteria": "taylor"}, 192, 48),
        ({"criteria": "l1,taylor", "samples": 100}, 100, 140),
        ({"criteria": "l1", "repair": "lsq"}, 192, 48),
        ({"criteria": "l1", "calibration_samples": 30}, 210, 30),
        ({"criteria": "taylor", "calibration_data": "other"}, 240, 90),
        ({"criteria": "taylor", "calibration_data": "other", "calibration_samples": 20}, 240, 20),
        ({"criteria": "l1", "calibration_data": "other"}, 240, 90),
    ],
)
def test_evaluation_gives_up_what_is_needed_and_no_more(
    tmp_path: Path, options: dict[str, object], evaluated: int, calibrating: int
) -> None:
    """A fifth of 240 samples was given up, even for ``l1`` without repair."""
    spec = write_subject(tmp_path)
    other = write_images(tmp_path / "other.npz", count=90)
    if options.get("calibration_data"):
        options = {**options, "calibration_data": f"npz:{other}#mean=0.5&std=0.25"}
    asked = spec_of_options({"model": spec.model, "data": spec.data, **options}).subject
    subject = load_subject(asked)
    assert subject.evaluation is not None
    assert len(subject.evaluation) == evaluated
    assert len(subject.calibration or ()) == calibrating
    if subject.calibration is not None and subject.calibration.source is subject.evaluation.source:
        assert not set(subject.calibration.indices) & set(subject.evaluation.indices)


def test_data_with_a_calibration_set_of_its_own_keeps_it() -> None:
    given = {"model": "sample:lenet5", "data": "sample:fashion-mnist", "criteria": "l1"}
    assert spec_of_options(given).subject.calibration_samples == 512


def test_scores_are_those_of_the_calibration_data(tmp_path: Path) -> None:
    """Against shares of positive activations on those samples alone, counted by hand."""
    from analysis.edits import prepare

    spec = write_subject(tmp_path)
    other = write_images(tmp_path / "other.npz", count=60)
    spec = SubjectSpec(
        model=spec.model, data=spec.data, calibration_data=f"npz:{other}#mean=0.5&std=0.25"
    )
    prepared = prepare(load_subject(spec))
    found = prepared.layer_scores("0", "apoz", "channel")
    arrays = np.load(other)
    images = (torch.from_numpy(arrays["images"]).float()[:, None] / 255 - 0.5) / 0.25
    layer = prepared.model.get_submodule("0")
    by_hand = (layer(images) > 0).double().mean((0, 2, 3))
    assert torch.allclose(found.double(), by_hand)


def test_the_calibration_data_fit_or_are_refused(tmp_path: Path) -> None:
    spec = write_subject(tmp_path)
    with pytest.raises(InputError, match="are the evaluation data"):
        load_subject(SubjectSpec(model=spec.model, data=spec.data, calibration_data=spec.data))
    np.savez(tmp_path / "wide.npz", images=np.zeros((9, 8, 9), np.uint8))
    wide = f"npz:{tmp_path / 'wide.npz'}"
    with pytest.raises(InputError, match=r"have shape \(1, 8, 9\), those .* \(1, 8, 8\)"):
        load_subject(SubjectSpec(model=spec.model, data=spec.data, calibration_data=wide))


def test_a_plan_of_a_sweep_without_calibration_is_repaired(run: Run, tmp_path: Path) -> None:
    """All is evaluated by the sweep; a repair takes some then, and says so."""
    spec = write_subject(tmp_path)
    other = write_images(tmp_path / "other.npz", count=60)
    sweep = ["sweep", "--model", spec.model, "--data", spec.data, "--criteria", "l1"]
    code, out, err = run(*sweep, "--ratios", "0.5", "--json")
    assert code == 0, err
    assert json.loads(out)["baseline"]["samples"] == 240
    plan = tmp_path / "plan.json"
    fill = ["plan", "--run", "last", "--tolerance", "0.5", "--out", plan]
    code, _, err = run(*fill)
    assert code == 0
    assert "the repair takes calibration samples out of the data" in err
    assert json.loads(plan.read_text())["subject"]["calibration_samples"] == 512
    code, _, err = run(*fill, "--repair", "none")
    assert code == 0
    assert "calibration" not in err
    assert json.loads(plan.read_text())["subject"]["calibration_samples"] == 0
    code, out, err = run("recover", "--plan", plan, "--json")
    assert code == 0, err
    assert "Calibration uses 48 samples of the same data" in err
    assert json.loads(out)["dense"]["samples"] == 192
    evaluate = ["evaluate", "--plan", plan, "--repair", "lsq", "--latency-seconds", "0", "--json"]
    code, out, err = run(*evaluate, "--calibration-data", f"npz:{other}#mean=0.5&std=0.25")
    assert code == 0, err
    assert json.loads(out)["samples"] == 240
    code, _, err = run(*evaluate, "--calibration-samples", "0")
    assert code == 2
    assert "a repair needs calibration data" in err
    out_folder = tmp_path / "out"
    code, _, err = run("export", "--plan", plan, "--repair", "lsq", "--out", out_folder)
    assert code == 0, err
    assert "left out" not in err


def test_the_raw_run_of_a_repaired_one_evaluates_the_same_samples(run: Run, tmp_path: Path) -> None:
    spec = write_subject(tmp_path)
    sweep = ["sweep", "--model", spec.model, "--data", spec.data, "--criteria", "l1"]
    code, _, err = run(*sweep, "--ratios", "0.5", "--repair", "lsq")
    assert code == 0, err
    command = err.split("compare with: ")[1].split("\n")[0]
    assert "--calibration-samples 512" in command
    import shlex

    assert run(*shlex.split(command)[1:])[0] == 0
    rows = Store(tmp_path / "workspace").runs.all()
    assert len({row.data_fingerprint for row in rows}) == 1
    assert {row.total_samples for row in rows} == {192}


def test_a_search_after_a_sweep_without_calibration_repairs_what_it_tries(
    run: Run, tmp_path: Path
) -> None:
    spec = write_subject(tmp_path)
    sweep = ["sweep", "--model", spec.model, "--data", spec.data, "--criteria", "l1"]
    assert run(*sweep, "--ratios", "0.5")[0] == 0
    plan = tmp_path / "plan.json"
    search = ["--strategy", "search", "--budget", "macs=0.8", "--trials", "1"]
    code, _, err = run("plan", "--run", "last", *search, "--out", plan)
    assert code == 0, err
    assert json.loads(plan.read_text())["subject"]["calibration_samples"] == 512
    assert json.loads(plan.read_text())["repair"] == "lsq"
