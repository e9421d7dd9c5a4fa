"""Commands about methods: recover, criteria, and the sweep options that choose methods."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path

import pytest
import torch

from analysis.cli import main
from analysis.cli.output import print_table, say
from analysis.edits.prepared import prepare
from analysis.plans.apply import start_plan
from analysis.plans.editing import set_ratio
from analysis.plans.files import write_plan
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.snippets.commands import command_of
from analysis.subjects.subject import load_subject
from pruners import statistics
from pruners.criteria import CRITERIA
from pruners.errors import InputError

SUBJECT = SubjectSpec(
    model="sample:lenet5",
    data="sample:fashion-mnist",
    samples=60,
    calibration_samples=64,
    batch_size=30,
)


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prepared = prepare(load_subject(SUBJECT))
    plan = start_plan(prepared, criterion="l1")
    entries = tuple(
        dataclasses.replace(entry, ratio=0.5, kept=entry.total - entry.total // 2)
        for entry in plan.entries
    )
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    write_plan(dataclasses.replace(plan, entries=entries), path)
    return path


def test_recover_prints_one_object_and_writes_the_model(
    plan_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "repaired"
    code = main(["recover", "--plan", str(plan_file), "--out", str(out), "--json"])
    assert code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["method"] == "lsq"
    assert found["dense"]["samples"] == 60
    assert found["recovered"]["agreement"] > found["pruned"]["agreement"]
    assert [item["layer"] for item in found["layers"]] == ["conv2", "fc1", "fc2", "fc3"]
    assert {item.name for item in out.iterdir()} == {"model.safetensors", "rebuild.py", "plan.json"}


def test_recover_prints_a_table(plan_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recover", "--plan", str(plan_file), "--method", "tune", "--samples", "30"]) == 0
    shown = capsys.readouterr()
    assert "recovered" in shown.out
    assert "30 samples" in shown.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "magic"], "unknown recovery method 'magic'; known: acdc, bn"),
        (["--method", "lsq", "--after-each"], "is of plans that prune elements or N:M; this one"),
        (["--method", "finetune", "--after-each"], "--after-each is of repairs, such as"),
        (["--method", "bn"], "no batch norm"),
    ],
)
def test_recover_refuses_in_one_line(
    plan_file: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recover", "--plan", str(plan_file), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_evaluate_repairs_like_recover(plan_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = ["evaluate", "--plan", str(plan_file), "--latency-seconds", "0"]
    assert main(["recover", "--plan", str(plan_file), "--method", "lsq", "--json"]) == 0
    recovered = json.loads(capsys.readouterr().out)["recovered"]
    assert main([*plain, "--repair", "lsq", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["repair"] == "lsq"
    assert found["removed"]["accuracy"] == recovered["accuracy"]
    assert main([*plain, "--repair", "tune"]) == 0
    assert "repaired by tune" in capsys.readouterr().err
    assert main([*plain, "--repair", "magic"]) == 2
    assert "unknown repair 'magic'; known: bn, lsq, none, obs" in capsys.readouterr().err


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[str]]:
    """The needs of each calibration pass, as they are made."""
    found: list[frozenset[str]] = []
    collect = statistics.collect

    def counted(*args: object, **options: object) -> object:
        found.append(options["needs"])
        return collect(*args, **options)

    monkeypatch.setattr(statistics, "collect", counted)
    return found


def test_commands_read_the_statistics_that_a_sweep_left(
    tmp_path: Path, passes: list[frozenset[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    space = ["--workspace", str(tmp_path / "first")]
    sweep = ["sweep", "--model", SUBJECT.model, "--data", str(SUBJECT.data), "--samples", "60"]
    sweep += ["--calibration-samples", "64", "--criteria", "taylor", "--granularity", "element"]
    assert main([*sweep, "--ratios", "0.5", *space]) == 0
    path = str(tmp_path / "plan.json")
    plan = ["plan", "--run", "last", "--strategy", "uniform", "--ratio", "0.5", "--out", path]
    assert main([*plan, *space]) == 0
    # Plans of single weights list no indices: each command scores the weights.
    measured = []
    for folder, expected in ((tmp_path / "first", 1), (tmp_path / "second", 2)):
        space = ["--workspace", str(folder)]
        capsys.readouterr()
        assert main(["evaluate", "--plan", path, "--latency-seconds", "0", "--json", *space]) == 0
        measured.append(json.loads(capsys.readouterr().out)["masked"]["accuracy"])
        assert main(["recover", "--plan", path, "--method", "lsq", *space]) == 0
        assert main(["export", "--plan", path, "--out", str(tmp_path / "out"), *space]) == 0
        assert len(passes) == expected
    assert measured[0] == measured[1]


BRANCHING = """
import torch
from torch import nn

class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(784, 8), nn.Linear(8, 10)

    def forward(self, x):
        h = torch.relu(self.a(x.flatten(1)))
        return self.b(h * 2 if h.sum() > 1e9 else h)
"""


def test_macs_of_a_model_without_graph_are_those_of_inspect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "branching.py").write_text(BRANCHING)
    spec = dataclasses.replace(SUBJECT, model=f"{tmp_path / 'branching.py'}:Branching")
    spec = dataclasses.replace(spec, seed=0, calibration_samples=16)
    assert main(["inspect", "--model", spec.model, "--data", str(spec.data), "--json"]) == 0
    inspected = json.loads(capsys.readouterr().out)
    torch.manual_seed(0)
    plan = start_plan(prepare(load_subject(spec)), criterion="l1", granularity="element")
    path = write_plan(set_ratio(plan, "a", 0.5), tmp_path / "plan.json")
    torch.manual_seed(0)
    assert main(["evaluate", "--plan", str(path), "--latency-seconds", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert inspected["macs"] == 784 * 8 + 8 * 10
    assert {found[name]["macs"] for name in ("dense", "masked", "removed")} == {inspected["macs"]}


@pytest.mark.parametrize("group", ["conv1", None])
def test_two_requests_for_one_group_are_refused_in_one_line(
    tmp_path: Path, group: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = dataclasses.replace(SUBJECT, model="sample:resnet20")
    plan = start_plan(prepare(load_subject(spec)), criterion="l1")
    first = next(entry for entry in plan.entries if entry.layer == "conv1")
    first = dataclasses.replace(first, ratio=0.25, kept=12)
    second = dataclasses.replace(first, layer="layer1.2.conv2", group=group, kept=9)
    path = tmp_path / "plan.json"
    write_plan(dataclasses.replace(plan, entries=(first, second)), path)
    export = ["export", "--format", "model", "--out", str(tmp_path / "out")]
    for command in (["evaluate"], ["recover"], export):
        assert main([*command, "--plan", str(path)]) == 2
        error = capsys.readouterr().err
        assert "conv1 (keeps 12)" in error
        assert "layer1.2.conv2 (keeps 9)" in error
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_criteria_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from pruners.criteria import criterion\n"
        "@criterion('peak', label='Peak', citation='own', formula='max', help='Mine.',\n"
        "           granularities={'channel'})\n"
        "def peak(data, *, level):\n"
        "    return data.weight.flatten(1).amax(1).double()\n"
    )
    try:
        assert main(["criteria", "--json", "--criterion-file", str(path)]) == 0
        found = json.loads(capsys.readouterr().out)["criteria"]
        assert [item["name"] for item in found] == list(CRITERIA.names())
        assert "peak" in CRITERIA.names()
    finally:
        CRITERIA.remove("peak")
    assert main(["criteria"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in CRITERIA.names())


DEPTH = """
from pruners.criteria import criterion
@criterion("depth", label="Depth", citation="own", formula="var", help="Mine.",
           granularities={"channel"})
def depth(data, *, level):
    return data.weight.flatten(1).var(1)
"""


def test_sweep_by_a_users_criterion_with_weights_semantics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(DEPTH)
    common = ["--model", SUBJECT.model, "--data", str(SUBJECT.data), "--samples", "60"]
    common += ["--calibration-samples", "64", "--layers", "conv2", "--ratios", "0.5", "--json"]
    common += ["--workspace", str(tmp_path / "store")]
    try:
        chosen = ["--criteria", "depth,l1", "--criterion-file", str(path), "--semantics", "weights"]
        assert main(["sweep", *common, *chosen]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["points"]
        # A plan by a criterion of a user's file is one like any other.
        plan, place = str(tmp_path / "plan.json"), ["--workspace", str(tmp_path / "store")]
        asked = ["--criterion", "depth", "--strategy", "uniform", "--ratio", "0.5"]
        assert main(["plan", "--run", "last", *asked, "--out", plan, *place]) == 0
        assert main(["evaluate", "--plan", plan, "--latency-seconds", "0", *place]) == 0
        assert main(["sweep", *common, "--criteria", "all", "--granularity", "2:4"]) == 0
        capsys.readouterr()
    finally:
        CRITERIA.remove("depth")


def test_a_sweep_says_what_a_criterion_could_not_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--model", SUBJECT.model, "--data", str(SUBJECT.data), "--samples", "30"]
    common += ["--criteria", "bn_scale,l1", "--ratios", "0.5", "--workspace", str(tmp_path)]
    assert main(["sweep", *common]) == 0
    assert "4 of 8 points could not be measured" in capsys.readouterr().err
    assert main(["runs", "show", "last", "--workspace", str(tmp_path)]) == 0
    assert "layer conv1: criterion bn_scale needs bn_scale: no batch norm" in str(
        capsys.readouterr()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--semantics", "mask"], "unknown semantics 'mask'"),
        (
            ["--criteria", "l1,fpgm", "--granularity", "2:4"],
            "criterion fpgm does not score granularity n:m; these do: gradient, l1",
        ),
        (["--reduction", "median"], "unknown reduction 'median'"),
        (["--criterion-file", "none.py"], "criterion file none.py does not exist"),
        (["--semantics", "weights", "--repair", "lsq"], "only bn applies"),
    ],
)
def test_sweep_refuses_in_one_line(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--model", SUBJECT.model, "--data", str(SUBJECT.data), "--samples", "30"]
    assert main(["sweep", *common, "--workspace", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_repaired_sweep_says_what_it_gains_or_how_to_measure_the_raw_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNESCOPE_WORKSPACE", str(tmp_path / "my runs"))
    common = ["sweep", "--model", SUBJECT.model, "--data", str(SUBJECT.data), "--samples", "60"]
    common += ["--calibration-samples", "64", "--criteria", "l1", "--ratios", "0.5:0.9:0.2"]
    common += ["--layers", "conv*"]
    assert main([*common, "--repair", "lsq"]) == 0
    said = capsys.readouterr().err.splitlines()[-1]
    before, _, command = said.partition(": ")
    assert before == "The raw curves to compare with"
    words = shlex.split(command)
    assert words[0] == "prunescope"
    assert main(words[1:]) == 0
    raw = capsys.readouterr()
    assert "The raw curves" not in raw.err
    assert main(["runs", "show", "last"]) == 0
    assert "accuracy is" not in capsys.readouterr().err
    assert main([*common, "--repair", "lsq"]) == 0
    out, err = capsys.readouterr()
    said = err.splitlines()[-1]
    assert said.startswith("After lsq, accuracy is ")
    assert said.endswith(f"Raw: run {raw.out.strip()}.")
    assert "over 6 points" in said
    assert main(["runs", "show", out.strip()]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == said


def test_plans_read_curves_after_a_repair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNESCOPE_WORKSPACE", str(tmp_path))
    sweep = ["sweep", "--model", SUBJECT.model, "--data", str(SUBJECT.data), "--samples", "60"]
    sweep += ["--calibration-samples", "64", "--criteria", "l1", "--ratios", "0.5:0.9:0.2"]
    runs = {}
    for repair in ("none", "lsq"):
        assert main([*sweep, "--repair", repair]) == 0
        runs[repair] = capsys.readouterr().out.strip()
    out = str(tmp_path / "plan.json")
    plan = ["plan", "--run", runs["none"], "--out", out, "--strategy", "dp", "--json"]
    plan += ["--budget", "macs=0.6", "--budget", "params=0.7,bytes=0.7"]
    chosen = {}
    for curves, repair in (("run", "none"), ("lsq", "none"), ("repair", "lsq")):
        assert main([*plan, "--curves", curves, "--repair", repair]) == 0
        found = json.loads(capsys.readouterr().out)
        chosen[curves] = found["plan"]["run"]
        assert set(found["spent"]) == {"macs", "params", "bytes"}
        assert found["spent"]["macs"] <= 0.6
        assert found["plan"]["recipe"]["budgets"] == ["macs=0.6", "params=0.7", "bytes=0.7"]
    assert chosen == {"run": runs["none"], "lsq": runs["lsq"], "repair": runs["lsq"]}
    for curves, message in (
        ("bn", "has no variant with repair bn; measure it"),
        ("magic", "unknown repair 'magic'"),
    ):
        assert main([*plan, "--curves", curves]) == 2
        assert message in capsys.readouterr().err
    assert main([*plan, "--cost", "agreement"]) == 2
    assert "unknown cost 'agreement'; known: drop, kl, loss" in capsys.readouterr().err


def test_the_command_of_a_sweep_measures_the_same_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "my criteria.py"
    mine.write_text(DEPTH)
    spec = SweepSpec(
        subject=dataclasses.replace(SUBJECT, seed=3, criterion_files=(str(mine),)),
        criteria=("l1", "linf"),
        granularity="2:4",
        ratios=(0.125, 0.5),
        layers="conv[12]",
        mode="adaptive",
        tolerance=0.02,
        confidence=0.9,
        repair="bn",
        reduction="max",
        precision="bf16",
    )
    asked: list[SweepSpec] = []

    def stop(spec: SweepSpec, workspace: object) -> None:
        asked.append(spec)
        raise InputError("far enough")

    monkeypatch.setattr("analysis.cli.commands.sweep._planned", stop)
    words = shlex.split(command_of(spec))
    try:
        assert main([*words[1:], "--workspace", str(tmp_path)]) == 2
    finally:
        CRITERIA.remove("depth")
    assert asked == [spec]


def test_a_title_longer_than_its_table_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """``From dense to trained: finetune, 1 epoch`` stood in three lines above a narrow table."""
    title = "From dense to trained: finetune, 2.86 epochs, 2 rounds"
    print_table(title, ("", "score"), [("dense", "92.33%")], right="score")
    assert capsys.readouterr().out.splitlines()[0] == title


def test_addresses_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Found by a newcomer: ``hf:llama:`` began with a picture of one."""
    say("hf:llama: 1 layer")
    print_table("hf:llama: 1 layer", ("a",), [("hf:llama:",)])
    printed = capsys.readouterr()
    assert printed.err == "hf:llama: 1 layer\n"
    assert printed.out.split("\n")[0].rstrip() == "hf:llama: 1 layer"
    assert "hf:llama:" in printed.out.split("\n")[2]
