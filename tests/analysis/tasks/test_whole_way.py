"""Other tasks than classification from the command line: inspect, sweep, plan, evaluate, export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from analysis.cli import main
from analysis.tasks import TASKS
from tests.helpers import task_subjects

Run = Callable[..., dict[str, Any]]
# What each task goes through.
STRATEGIES = {
    "uniform": ("--ratio", "0.25"),
    "threshold": ("--tolerance", "0.05"),
    "global": ("--ratio", "0.25"),
    "greedy": ("--budget", "macs=0.8"),
    "dp": ("--budget", "macs=0.8"),
    "search": ("--budget", "drop=0.15"),
}
REPAIRS = ("none", "lsq", "obs", "tune", "search", "sparsegpt-sequential", "wanda-sequential")
METHODS = ("finetune", "iterative", "linear", "gmp", "gmp_star", "acdc", "layerwise")
DATA = {"masked_lm": "masked_data", "token_classification": "entities_data"}
FORMATS = ("model", "onnx", "onnx-int8", "openvino", "masks", "torch-pruning", "json", "csv", "zip")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str, workspace: bool = True) -> dict[str, Any]:
        place = ["--workspace", str(tmp_path / "workspace")] if workspace else []
        code = main([*words, *place, "--json"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        found: dict[str, Any] = json.loads(printed.out)
        return found

    return run


def test_regression_goes_the_whole_way(run: Run, tmp_path: Path) -> None:
    """Gradients, a sweep, a plan, repair, evaluation, an export."""
    model = ["--model", f"{task_subjects.WHERE}:regression", "--task", "regression"]
    model += ["--data", f"{task_subjects.WHERE}:regression_data"]
    assert run("inspect", *model, workspace=False)["params"] == 342
    options = ["--calibration-samples", "40", "--batch-size", "48", "--criteria", "taylor,l1"]
    found = run("sweep", *model, *options, "--ratios", "0.25,0.5")
    inputs, targets = task_subjects.regression_data().tensors
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))[:160]
    with torch.no_grad():
        errors = (task_subjects.regression()(inputs[order]) - targets[order]).double()
    spread = (targets[order].double() - targets[order].double().mean(0)).square().sum()
    r2 = float(1 - errors.square().sum() / spread)
    assert found["baseline"]["r2"] == pytest.approx(r2, abs=1e-6)

    table = tmp_path / "points.csv"
    run("runs", "show", "last", "--out", str(table))
    points = pd.read_csv(table)
    assert {"r2", "r2_drop", "mae", "rmse", "mae_delta"} < set(points)
    assert np.allclose(points["r2"] + points["r2_drop"], r2)
    assert (points["drop_low"] < points["r2_drop"]).all()
    assert (points["r2_drop"] < points["drop_high"]).all()
    for name in ("mae", "mae_delta", "rmse", "rmse_delta"):
        assert (points[f"{name}_low"] < points[name]).all()
        assert (points[name] < points[f"{name}_high"]).all()
    mse = (points["rmse"] - points["rmse_delta"]) ** 2
    assert np.allclose(mse, float(errors.square().mean()))

    plan, out = tmp_path / "plan.json", tmp_path / "out"
    run("plan", "--run", "last", "--strategy", "uniform", "--ratio", "0.25", "--out", str(plan))
    found = run("evaluate", "--plan", str(plan), "--repair", "lsq", "--latency-seconds", "0")
    assert found["dense"]["r2"] == pytest.approx(r2, abs=1e-6)
    removed = found["removed"]
    assert removed["drop_low"] < removed["drop"] < removed["drop_high"]
    assert found["same_answers"] == found["samples"] == 160
    training = ["--preset", "quick", "--steps", "6", "--batch-size", "16", "--lr", "0.001"]
    trained = run("recover", "--plan", str(plan), *training)
    assert trained["pruned_r2"] < trained["r2"]
    assert {(item["metric"], item["better"]) for item in (found, trained)} == {("r2", "higher")}
    assert trained["drop_low"] < trained["drop"] < trained["drop_high"]
    run("export", "--plan", str(plan), "--out", str(out), "--evaluate")
    assert "R2" in (out / "README.md").read_text("utf-8")
    adaptive = run("sweep", *model, *options, "--ratios", "0.25,0.5", "--mode", "adaptive")
    assert adaptive["state"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "column"),
    [
        ("binary", "accuracy"),
        ("multi_label", "f1"),
        ("segmentation", "miou"),
        ("detection", "f1"),
        ("language_modelling", "perplexity"),
        ("image_to_image", "psnr"),
        ("embedding", "cosine"),
    ],
)
def test_a_task_is_swept_and_planned(task: str, column: str, run: Run, tmp_path: Path) -> None:
    """Gradients of the task's loss, a sweep, an adaptive one, a plan."""
    model = ["--model", f"{task_subjects.WHERE}:{task}", "--task", task]
    model += ["--data", f"{task_subjects.WHERE}:{task}_data", "--batch-size", "40"]
    options = [
        *model,
        "--calibration-samples",
        "40",
        "--criteria",
        "taylor",
        "--ratios",
        "0.25,0.5",
    ]
    found = run("sweep", *options)
    assert found["baseline"][column] == found["baseline"][column]
    plan, table = tmp_path / "plan.json", tmp_path / "points.csv"
    run("runs", "show", "last", "--out", str(table))
    points = pd.read_csv(table)
    assert (points["status"] == "measured").all()
    drops = points[[name for name in points if name.startswith(column) and name != column]].iloc[
        :, 0
    ]
    assert ((points["drop_low"] <= drops) & (drops <= points["drop_high"])).all()
    assert (drops > 0).any()
    options[options.index("0.25,0.5")] = "0.05,0.25,0.5"
    assert run("sweep", *options, "--mode", "adaptive")["state"] == "done"
    run("plan", "--run", "last", "--strategy", "uniform", "--ratio", "0.25", "--out", str(plan))
    found = run("evaluate", "--plan", str(plan), "--latency-seconds", "0")
    assert found["same_answers"] == found["samples"] == 160
    assert found["removed"]["drop_low"] <= found["removed"]["drop"] <= found["removed"]["drop_high"]
    if task == "embedding":  # Nobody has labels for it: the dense model's answers are the targets.
        training = ["--preset", "quick", "--steps", "6", "--batch-size", "16", "--lr", "0.001"]
        trained = run("recover", "--plan", str(plan), *training)
        assert trained["pruned_cosine"] < trained["cosine"]
    if task == "segmentation":
        for model, side in (("dense", "dense"), ("removed", "pruned")):
            mean = sum(item[side] for item in found["classes"]) / len(found["classes"])
            assert found[model]["miou"] == pytest.approx(mean)
    labels = {"detection": ["mAP", "AP at IoU 0.5"], "embedding": ["10 nearest kept"]}
    assert [item["label"] for item in found["whole"]] == labels.get(task, [])
    assert all(item["drop_low"] <= item["drop"] <= item["drop_high"] for item in found["whole"])


@pytest.mark.nightly
@pytest.mark.parametrize("task", [name for name in TASKS.names() if name != "classification"])
def test_all_that_is_there_works_for_each_task(task: str, run: Run, tmp_path: Path) -> None:
    """The table of docs/tasks.md: "all". Found so: the trade-off of text, training embeddings."""
    factory = {"masked_lm": "language_modelling", "token_classification": "language_modelling"}
    model = ["--model", f"{task_subjects.WHERE}:{factory.get(task, task)}", "--task", task]
    model += ["--data", f"{task_subjects.WHERE}:{DATA.get(task, task + '_data')}"]
    options = [*model, "--batch-size", "40", "--calibration-samples", "40"]
    plan, where = str(tmp_path / "plan.json"), ["--latency-seconds", "0"]
    sweep = ["--criteria", "taylor,l1", "--ratios", "0.25,0.5"]
    assert run("sweep", *options, "--granularity", "element", *sweep)["state"] == "done"
    assert run("sweep", *options, "--repair", "lsq", *sweep)["state"] == "done"
    assert run("sweep", *options, "--mode", "adaptive", *sweep)["state"] == "done"
    assert run("sweep", *options, *sweep)["state"] == "done"
    run(
        "plan", "--run", "last", "--frontier", "--levels", "0.8,0.6", "--out", str(tmp_path / "all")
    )
    for strategy, how in STRATEGIES.items():
        run("plan", "--run", "last", "--strategy", strategy, *how, "--out", plan)
    run("plan", "--run", "last", "--strategy", "uniform", "--ratio", "0.25", "--out", plan)
    for repair in REPAIRS:
        found = run("evaluate", "--plan", plan, "--repair", repair, *where)
        assert found["same_answers"] == found["samples"] == 160
    training = ["--preset", "quick", "--steps", "6", "--batch-size", "16", "--lr", "0.001"]
    for method in METHODS:
        run("recover", "--plan", plan, "--method", method, *training)
    run("recover", "--plan", plan, "--method", "finetune", "--distill", "1", *training)
    for name in FORMATS:
        run("export", "--plan", plan, "--format", name, "--out", str(tmp_path / name))
    run("report", "--plan", plan, "--out", str(tmp_path / "report.html"))
    found = run("shrink", *options, "--max-drop", "0.15", "--minutes", "0.2")
    assert found["drop_low"] <= found["drop"] <= found["drop_high"]
