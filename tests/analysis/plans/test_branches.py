"""Depth as granularities: swept, planned, evaluated and exported; oracles leave the block out."""

from __future__ import annotations

import copy
import dataclasses
import json
import runpy
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from analysis import interop, plans
from analysis.allocation import fill_plan
from analysis.cli import main
from analysis.curves import points_table
from analysis.edits import PreparedSubject, prepare, scores, targets
from analysis.evaluation.evaluate import evaluate_plan
from analysis.measuring import file_bytes
from analysis.plans.editing import set_ratio
from analysis.records import Recipe, SubjectSpec, SweepSpec
from analysis.recovery.plan_repair import recover_plan, recovered_model
from analysis.recovery.training import TRAINING_METHODS
from analysis.recovery.training.trainee import Trainee
from analysis.subjects.subject import load_subject
from analysis.sweeps import iter_sweep, plan_sweep, planned_points, spec_of_options
from pruners.errors import InputError, UnsupportedError
from pruners.groups import WholeCost
from tests.helpers.tiny_subject import write_images

SOURCE = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 12), nn.GELU(), nn.Linear(12, 12))
        self.two = nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 12))

    def forward(self, x):
        x = x + self.one(x)
        return x + self.two(x)


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 12, 4, stride=4)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(48, 4)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.head(x.flatten(1))


def build():
    torch.manual_seed(3)
    return Deep()
"""


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> SubjectSpec:
    folder = tmp_path_factory.mktemp("deep")
    (folder / "deep_model.py").write_text(SOURCE, encoding="utf-8")
    data = write_images(folder / "tiny.npz")
    return SubjectSpec(
        model=f"{folder / 'deep_model.py'}:build",
        data=f"npz:{data}#mean=0.5&std=0.25",
        samples=120,
        calibration_samples=40,
    )


@pytest.fixture(scope="module")
def prepared(subject: SubjectSpec) -> PreparedSubject:
    return prepare(load_subject(subject))


def without(model: nn.Module, name: str) -> nn.Module:
    """Leave a branch or layer out by hand."""
    shorter = copy.deepcopy(model)
    parent, _, last = name.rpartition(".")
    if parent == "blocks":
        del shorter.get_submodule(parent)[int(last)]  # type: ignore[operator]
    else:
        found = shorter.get_submodule(name)
        for item in (found[-1] if isinstance(found, nn.Sequential) else found).parameters():
            nn.init.zeros_(item)
    return shorter


def right(prepared: PreparedSubject, model: nn.Module) -> int:
    split = prepared.subject.evaluation
    assert split is not None
    with torch.no_grad():
        return sum(
            int((model(item).argmax(1) == labels).sum()) for item, labels in split.batches(64)
        )


@pytest.fixture(scope="module", params=["branch", "layer"])
def swept(request: pytest.FixtureRequest, prepared: PreparedSubject) -> tuple[str, pd.DataFrame]:
    """The granularity and its points table."""
    spec = SweepSpec(
        subject=prepared.subject.spec,
        criteria=("l1", "block_influence"),
        granularity=request.param,
        ratios=(0.1, 0.5),
    )
    planned = plan_sweep(prepared, spec)
    *_, last = iter_sweep(planned)
    sizes = {item.key: item for item in planned_points(prepared, spec, planned.points)}
    rows = [
        {
            **dataclasses.asdict(key),
            "params": sizes[key].params,
            "macs": sizes[key].macs,
            "status": "measured",
            "sums": sums,
            "reason": "",
        }
        for key, sums in last.sums.items()
    ]
    samples = last.baseline.samples
    return request.param, points_table("run", rows, baselines={samples: last.baseline})


def test_points_are_those_of_models_without_it(
    prepared: PreparedSubject, swept: tuple[str, pd.DataFrame]
) -> None:
    """One point for each branch or layer, gone; of all criteria the same; sizes as counted."""
    granularity, table = swept
    names = [f"blocks.{at}" for at in range(3)]
    if granularity == "branch":
        names = [f"{name}.{part}" for name in names for part in ("one", "two.1")]
    assert table["layer"].tolist() == [name for name in names for _ in range(2)]
    for row in table.to_dict("records"):
        assert (row["ratio_requested"], row["kept"], row["total"]) == (1, 0, 1)
        shorter = without(prepared.model, row["layer"])
        assert row["correct"] == right(prepared, shorter)
        if granularity == "layer":
            cost = WholeCost(shorter, prepared.subject.example).dense
            assert (row["params"], row["macs"]) == (cost.params, cost.macs)


def test_scores_are_sums_of_layers(prepared: PreparedSubject) -> None:
    """L1 of a branch is that of its weights, by hand; influence by its definition."""
    (one, *_) = targets(prepared, "branch")
    block = prepared.model.get_submodule("blocks.0.one")
    norm = sum(item.weight.abs().sum() for item in block if isinstance(item, nn.Linear))
    assert float(scores(prepared, one, "l1")) == pytest.approx(float(norm))
    calibration = prepared.subject.calibration
    assert calibration is not None
    inputs = torch.cat([item for item, _ in calibration.batches(64)])  # type: ignore[misc]
    with torch.no_grad():
        before = prepared.model.stem(inputs).flatten(2).transpose(1, 2)  # type: ignore[operator]
        after = before + block(before)
    turned = 1 - float(nn.functional.cosine_similarity(before, after, dim=-1).mean())
    assert float(scores(prepared, one, "block_influence")) == pytest.approx(turned, abs=1e-6)


@pytest.mark.parametrize("strategy", ["greedy", "dp", "threshold", "global"])
def test_plans_take_what_costs_least(
    prepared: PreparedSubject, swept: tuple[str, pd.DataFrame], strategy: str
) -> None:
    """Half of the branches or layers by tolerance, budget or rank; the budget is exact."""
    granularity, table = swept
    start = plans.start_plan(prepared, criterion="block_influence", granularity=granularity)
    recipes = {
        "global": Recipe(ratio=0.34),
        "threshold": Recipe(tolerance=0.05),
    }
    recipe = recipes.get(strategy, Recipe(budgets=("macs=0.7",)))
    plan = fill_plan(prepared, start, strategy, recipe, points=table).plan
    gone = {entry.layer for entry in plan.entries if not entry.kept}
    drops = table.drop_duplicates("layer").set_index("layer")["accuracy_drop"]
    values = {
        item.layer: float(scores(prepared, item, "block_influence"))
        for item in targets(prepared, granularity)
    }
    if strategy == "global":
        assert gone == set(sorted(values, key=values.__getitem__)[: round(len(values) * 0.34)])
    elif strategy == "threshold":
        assert gone == set(drops[drops <= 0.05].index)
    else:
        share = plans.meter(prepared).share(plan, "macs")
        small = plans.removed_model(prepared, plan)
        counted = WholeCost(small, prepared.subject.example).dense
        assert share == counted.macs / prepared.cost.dense.macs <= 0.7


def test_from_plan_to_files(prepared: PreparedSubject, tmp_path: Path) -> None:
    """Masked equals removed, sizes are those of the file, and the script rebuilds it."""
    start = plans.start_plan(prepared, criterion="l1", granularity="layer")
    branch = plans.start_plan(prepared, criterion="l1", granularity="branch")
    plan = set_ratio(start, "layer:blocks.1", 0.5)
    # A layer, and a branch of another.
    entries = (*plan.entries, *set_ratio(branch, "branch:blocks.2.one", 1.0).entries)
    plan = dataclasses.replace(plan, entries=entries)
    small = plans.removed_model(prepared, plan)
    expected = without(without(prepared.model, "blocks.2.one"), "blocks.1")
    example = prepared.subject.example
    with torch.no_grad():
        assert torch.allclose(small(example), expected(example), atol=1e-6)
    assert type(small).__name__ == "Deep"
    assert len(small.get_submodule("blocks")) == 2  # type: ignore[arg-type]
    found = evaluate_plan(prepared, plan, latency_seconds=0)
    assert found.same_answers == found.samples
    assert found.largest_difference is not None
    assert found.largest_difference < 1e-4
    size = plans.meter(prepared)
    assert size.amount(plan, "bytes") == found.removed.file_bytes == file_bytes(small)
    assert size.sizes(plan) == (found.removed.params, found.removed.macs)
    assert found.removed.params == sum(item.numel() for item in small.parameters())
    for name in ("model", "masks"):
        request = interop.ExportRequest(prepared=prepared, plan=plan, directory=tmp_path / name)
        interop.export(name, request)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(tmp_path / "model" / "rebuild.py"), run_name="__main__")
    assert ended.value.code == 0


def test_what_goes_whole_is_refused_by_name(prepared: PreparedSubject) -> None:
    """One ratio for all, fits of what is left and normalized ranks mean nothing here."""
    start = plans.start_plan(prepared, criterion="l1", granularity="branch")
    for strategy in ("uniform", "owl"):
        with pytest.raises(
            InputError, match=rf"strategy {strategy} chooses.*blocks\.0\.one is kept"
        ):
            fill_plan(prepared, start, strategy, Recipe(ratio=0.3))
    with pytest.raises(InputError, match=r"a budget in latency chooses parts"):
        fill_plan(prepared, start, "greedy", Recipe(budgets=("latency=0.8",)))
    with pytest.raises(InputError, match="normalizer mean would make all of them equal"):
        fill_plan(prepared, start, "global", Recipe(ratio=0.3, normalizer="mean"))
    plan = set_ratio(start, "branch:blocks.0.one", 1.0)
    for method in ("lsq", "search", "sparsegpt-sequential"):
        with pytest.raises(UnsupportedError, match="branches and layers go as a whole"):
            recover_plan(prepared, plan, method=method)
    spec = SweepSpec(subject=prepared.subject.spec, granularity="layer", repair="lsq")
    with pytest.raises(UnsupportedError, match="branches and layers go as a whole"):
        list(iter_sweep(plan_sweep(prepared, spec)))
    with pytest.raises(InputError, match="does not score"):
        spec_of_options({"model": "m", "data": "npz:d.npz", "criteria": "block_influence"})


@pytest.mark.parametrize("granularity", ["branch", "layer"])
def test_depth_is_searched_by_one_command(
    subject: SubjectSpec, granularity: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Shrink chose the repair of channels, which these have none of, and refused."""
    words = ["shrink", "--model", subject.model, "--data", str(subject.data), "--json"]
    words += ["--samples", "120", "--calibration-samples", "40", "--granularity", granularity]
    words += ["--budget", "macs=0.7", "--trials", "2", "--workspace", str(tmp_path)]
    code = main(words)
    out, err = capsys.readouterr()
    assert code == 0, err
    found = json.loads(out)
    assert found["macs_left"] <= 0.7
    assert found["repair"] == "none"


@pytest.mark.parametrize("granularity", ["branch", "layer"])
def test_what_goes_whole_is_trained_at_once(prepared: PreparedSubject, granularity: str) -> None:
    """Masked and removed are the same after training; ratios that grow are refused by name."""
    start = plans.start_plan(prepared, criterion="l1", granularity=granularity)
    plan = set_ratio(start, start.entries[0].name, 1.0)
    for method in ("gmp", "acdc", "movement", "layerwise"):
        with pytest.raises(
            UnsupportedError, match=rf"{method} .* goes as a whole: choose finetune"
        ):
            TRAINING_METHODS.get(method).check(prepared, plan)
    TRAINING_METHODS.get("finetune").check(prepared, plan)
    trainee = Trainee(prepared, plan)
    trained = [item for item in trainee.model.parameters() if item.requires_grad]
    step = torch.optim.SGD(trained, lr=0.1)
    example = prepared.subject.example
    before = trainee.model(example).detach()
    trainee.model(example).square().mean().backward()
    trainee.mask_gradients()
    step.step()
    trainee.mask_weights()
    found = trainee.recovery(method="finetune", seconds=0.0)
    masked = prepared.evaluator.forward(example, found.edit.tensors)
    removed = recovered_model(prepared, found)(example)
    assert not torch.allclose(removed, before, atol=1e-3)
    torch.testing.assert_close(masked, removed, rtol=1e-4, atol=1e-4)
