from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import edits as contexts
from analysis.cli import main, options
from analysis.cli.commands import serve
from analysis.cli.output import print_json
from analysis.curves.points import columns
from analysis.plans.prediction import predict
from analysis.records.plan import Plan, Recipe
from analysis.store.points import PointStore
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from pruners.errors import InputError
from tests.helpers.store_writer import SPEC
from tests.helpers.tiny_subject import write_subject

ROOT = Path(__file__).resolve().parents[3]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def subject(folder: Path) -> list[str]:
    """Options that name the subject, small enough for a test."""
    spec = write_subject(folder)
    assert spec.data is not None
    given = ["--model", spec.model, "--data", spec.data, "--samples", "96"]
    return [*given, "--batch-size", "16", "--calibration-samples", "32"]


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the program in this process; loaded subjects are opened once."""
    monkeypatch.setenv(options.WORKSPACE_VARIABLE, str(folder / "workspace"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(options, "prepare_subject", opened)
    for command in ("sweep", "plan", "evaluate", "export", "recover"):
        monkeypatch.setattr(f"analysis.cli.commands.{command}.prepare_subject", opened)

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(item) for item in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


_open: dict[Any, Any] = {}


def opened(spec: Any, workspace: Path | None) -> Any:
    if spec not in _open:
        _open[spec] = contexts.prepare(load_subject(spec))
    return _open[spec]


@pytest.fixture(scope="module")
def swept(folder: Path, subject: list[str]) -> str:
    """A finished run."""
    os.environ[options.WORKSPACE_VARIABLE] = str(folder / "workspace")
    try:
        code = main(["sweep", *subject, "--criteria", "l1,fpgm", "--ratios", "0.25:0.75:0.25"])
        assert code == 0
        store = Store(folder / "workspace")
        run_id = store.runs.get("last").run_id
        store.close()
    finally:
        del os.environ[options.WORKSPACE_VARIABLE]
    return run_id


def assert_one_line(result: tuple[int, str, str], *, says: str = "", code: int = 2) -> None:
    found, out, err = result
    assert found == code, err
    assert out == ""
    assert err.startswith("prunescope: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert re.search(says, err), err


# --- bad input ---------------------------------------------------------------------------------

BAD: list[tuple[str, str]] = [
    ("nonsense", "No such command 'nonsense'"),
    ("sweep --nonsense", "No such option"),
    ("sweep --samples many", "--samples"),
    ("sweep", "needs --model and --data"),
    ("sweep --model sample:lenet5", "needs --model and --data"),
    ("sweep --model nonsense --data sample:fashion-mnist", "of no known form"),
    ("sweep --model sample:nonsense --data sample:fashion-mnist", "unknown sample model"),
    ("sweep --model sample:lenet5 --data sample:nonsense", "unknown sample data"),
    ("sweep --model no.py:build --data sample:fashion-mnist", "there is no file no.py"),
    ("sweep --model torchvision:resnet18#weights=no.pt --data npz:x", "no weights file"),
    ("sweep --model sample:lenet5 --data npz:no.npz", "there is no file no.npz"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --criteria a,b", "unknown criterion"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --criteria ,", "--criteria"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --ratios 0.1:0.9", "three numbers"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --ratios 1.5", "between 0 and 1"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --granularity row", "granularity"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --samples 0", "at least 1"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --batch-size 0", "at least 1"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --seed -1", "seed"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --device warp", "'warp'"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --mode fast", "unknown mode 'fast'"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --repair all", "unknown repair"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --tolerance 2", "--tolerance"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --executor cloud", "executor"),
    ("sweep --model sample:lenet5 --data sample:fashion-mnist --out points.xlsx", r"\.parquet"),
    ("sweep --resume nothing", "unknown run 'nothing'"),
    ("sweep --resume nothing --model sample:lenet5", "leave --model out"),
    ("inspect", "Missing option '--model'"),
    ("inspect --model sample:nonsense", "unknown sample model"),
    ("plan --run nothing", "Missing option '--out'"),
    ("plan --run nothing --out p.json", "unknown run 'nothing'"),
    ("plan --run nothing --out p.json --strategy magic", "unknown strategy 'magic'"),
    ("plan --run nothing --out p.json --budget half", "budget 'half'"),
    ("evaluate", "Missing option '--plan'"),
    ("evaluate --plan nothing.json", "nothing.json"),
    ("export --plan nothing.json --out d --format model", "nothing.json"),
    ("export --plan nothing.json --out d --format tar", "unknown export format 'tar'"),
    ("runs show nothing", "unknown run 'nothing'"),
    ("runs delete nothing", "unknown run 'nothing'"),
    ("runs merge one two", "unknown run 'one'"),
    ("runs nonsense", "No such command"),
    ("serve --port 99999", "--port"),
    ("serve --root no/such/folder", "is not a folder"),
    ("serve --host 192.0.2.1", "cannot be listened on"),
]


@pytest.mark.parametrize(("line", "says"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_is_exit_code_2_and_one_line(run: Run, line: str, says: str) -> None:
    assert_one_line(run(*line.split()), says=says)


def test_bad_layers_leave_no_run_behind(run: Run, subject: list[str], folder: Path) -> None:
    before = len(Store(folder / "workspace").runs.all())
    assert_one_line(run("sweep", *subject, "--layers", "nope*"), says="no layer fits 'nope")
    assert len(Store(folder / "workspace").runs.all()) == before


def test_no_traceback_from_the_real_program() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "analysis", "runs", "show", "nothing", "--workspace", "/dev/null/x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert_one_line((found.returncode, found.stdout, found.stderr), says="cannot be made", code=1)


def test_no_arguments_and_help(run: Run) -> None:
    assert run()[0] == 0
    code, out, err = run("sweep", "--help")
    assert (code, err) == (0, "")
    assert "--criteria" in out


# --- inspect -------------------------------------------------------------------------------------


def test_inspect_json_has_the_contract(run: Run) -> None:
    code, out, _ = run("inspect", "--model", "sample:lenet5", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["params"] == 61_706
    assert found["schema_version"] == 1
    layer = {"name", "type", "params", "macs", "output_shape", "group", "prunable", "reason"}
    assert set(found["layers"][0]) >= layer
    assert set(found["groups"][0]) >= {"id", "members", "channels", "prunable", "reason"}
    assert set(found["groups"][0]["members"][0]) == {"name", "dim", "role"}


def test_inspect_for_people(run: Run, subject: list[str]) -> None:
    code, out, err = run("inspect", *subject[:4])
    assert code == 0
    assert "no: is the network's output" in out
    assert "evaluated" not in err


def test_inspect_tells_heads_and_groups_that_a_norm_mixes(run: Run) -> None:
    code, out, _ = run("inspect", "--model", "sample:vit_tiny")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert any("4 heads" in line and line.endswith(" yes") for line in lines)
    mixed = [line for line in lines if "evaluated by physical removal: its channels are" in line]
    assert len(mixed) == 1
    assert mixed[0].startswith("patch_embed ")
    assert "layer_norm" in mixed[0]


# --- sweep ---------------------------------------------------------------------------------------


def test_sweep_json_and_files(run: Run, subject: list[str], swept: str, folder: Path) -> None:
    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        path = folder / f"points{suffix}"
        code, out, err = run(
            "sweep", *subject, "--criteria", "l1,fpgm", "--ratios", "0.25:0.75:0.25",
            "--out", path, "--json",
        )  # fmt: skip
        assert code == 0, err
        assert "0 points to measure, 12 known from earlier runs" in err
        found = json.loads(out)
        assert {"run_id", "points", "seconds", "baseline"} <= set(found)
        assert set(found["baseline"]) == {"samples", "correct", "accuracy", "loss"}
        assert found["points"] == 12
        table = read(path)
        assert list(table) == list(columns())
        assert list(table["run_id"]) == [found["run_id"]] * 12
        order = list(zip(table["layer"], table["criterion"], table["ratio_requested"], strict=True))
        assert [str(item[0]) for item in order] == ["0"] * 6 + ["2"] * 6
        assert [item[1] for item in order] == (["l1"] * 3 + ["fpgm"] * 3) * 2
        assert [item[2] for item in order] == [0.25, 0.5, 0.75] * 4
        assert set(table["samples"]) == {96}


def test_ctrl_c_is_130_and_the_run_can_be_resumed(
    run: Run, subject: list[str], swept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = PointStore.save
    saved: list[Any] = []

    def interrupted(self: PointStore, run_id: str, update: Any, *, owner: str = "") -> None:
        save(self, run_id, update, owner=owner)
        saved.append(update)
        if len(saved) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    arguments = ["sweep", *subject, "--criteria", "l1", "--ratios", "0.1,0.9", "--json"]
    with monkeypatch.context() as patch:
        patch.setattr(PointStore, "save", interrupted)
        code, out, err = run(*arguments)
    assert code == 130
    stopped = json.loads(out)
    assert stopped["state"] == "cancelled"
    assert stopped["baseline"]["samples"] in (16, 96)
    assert f"prunescope sweep --resume {stopped['run_id']}" in err

    code, out, err = run("sweep", "--resume", stopped["run_id"], "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["run_id"] == stopped["run_id"]
    assert (found["state"], found["points"], found["baseline"]["samples"]) == ("done", 4, 96)

    code, out, _ = run("sweep", "--resume", stopped["run_id"])
    assert (code, out.strip()) == (0, stopped["run_id"])


def test_a_sweep_that_fails_is_one_line_more(
    run: Run, subject: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> Any:
        raise InputError("the data broke")
        yield

    monkeypatch.setattr("analysis.sweeps.iter_sweep", failing)
    code, out, err = run("sweep", *subject, "--criteria", "l2", "--ratios", "0.3")
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("prunescope: the data broke (run ")
    assert "--resume" in last


# --- plan, evaluate, export ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def plan_file(folder: Path) -> Path:
    return folder / "plan.json"


def test_plan_evaluate_and_export(run: Run, swept: str, plan_file: Path, folder: Path) -> None:
    code, out, err = run(
        "plan", "--run", swept, "--strategy", "uniform", "--budget", "macs=0.6",
        "--out", plan_file, "--json",
    )  # fmt: skip
    assert code == 0, err
    planned = json.loads(out)
    assert planned["macs"] <= 0.6 * planned["dense_macs"]
    assert planned["plan"]["run"] == swept

    code, out, err = run("evaluate", "--plan", plan_file, "--latency-seconds", "0", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["schema_version"], found["samples"]) == (1, 96)
    assert found["removed"]["macs"] == planned["macs"]
    assert found["masked"]["accuracy"] == found["removed"]["accuracy"]

    code, out, err = run("export", "--plan", plan_file, "--format", "model", "--out", folder / "m")
    assert code == 0, err
    assert (folder / "m" / "model.safetensors").is_file()
    assert (folder / "m" / "rebuild.py").is_file()
    assert "rebuild.py" in out


def test_evaluate_export_and_recover_repair_as_the_plan_says(
    run: Run, swept: str, folder: Path
) -> None:
    """Issue 10, point 1: a plan says how it is repaired, and everything follows it."""
    path = folder / "repaired.json"
    asked = ["plan", "--run", swept, "--strategy", "uniform", "--ratio", "0.5", "--out", path]
    found = {}
    for repair in ("none", "obs", "auto"):
        code, out, err = run(*asked, "--repair", repair)
        assert code == 0, err
        name = "lsq" if repair == "auto" else repair
        assert json.loads(path.read_text())["repair"] == name
        said = "fitted to the dense ones" if repair == "auto" else "as asked for"
        assert re.search(rf"Repair: .*; .*{said}\.", " ".join((out + err).split()))
        code, out, err = run("evaluate", "--plan", path, "--latency-seconds", "0", "--json")
        assert code == 0, err
        found[name] = json.loads(out)
        assert found[name]["repair"] == name
        target = folder / f"exported-{repair}"
        code, out, err = run("export", "--plan", path, "--format", "zip", "--out", target)
        assert code == 0, err
        assert json.loads((target / path.name).read_text())["repair"] == name
        assert json.loads((target / "model.json").read_text())["repair"] == name
        assert ("are repaired by" in out + err) == (name != "none")
    losses = {name: item["removed"]["sums"]["loss"] for name, item in found.items()}
    assert len(set(losses.values())) == 3
    code, out, err = run("recover", "--plan", path, "--json")
    assert code == 0, err
    assert json.loads(out)["method"] == "lsq"
    assert json.loads(out)["recovered"]["accuracy"] == found["lsq"]["removed"]["accuracy"]
    raw = ("evaluate", "--plan", path, "--repair", "none", "--latency-seconds", "0", "--json")
    assert json.loads(run(*raw)[1])["removed"]["sums"]["loss"] == losses["none"]
    assert_one_line(run(*asked, "--repair", "magic"), says="unknown repair 'magic'")


def test_export_offers_onnx(
    run: Run, plan_file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    asked = ["export", "--plan", plan_file, "--format", "onnx", "--out"]
    code, out, err = run(*asked, folder / "o", "--json")
    assert code == 0, err
    assert [Path(item["path"]).name for item in json.loads(out)["files"]] == ["model.onnx"]
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert_one_line(run(*asked, folder / "p"), says=r"pip install 'prunescope\[onnx\]'")
    assert not (folder / "p").exists()


def test_a_budget_is_met_after_rounding(run: Run, swept: str, folder: Path) -> None:
    path = folder / "rounded.json"
    asked = ["plan", "--run", swept, "--strategy", "uniform", "--budget", "macs=0.6", "--out", path]
    code, out, err = run(*asked, "--round-to", "4", "--json")
    assert code == 0, err
    planned = json.loads(out)
    assert planned["macs"] <= 0.6 * planned["dense_macs"]
    kept = {item["layer"]: (item["kept"], item["total"]) for item in planned["plan"]["entries"]}
    assert set(kept.values()) <= {(4, 6), (6, 6), (4, 8), (8, 8)}
    code, out, err = run("evaluate", "--plan", path, "--latency-seconds", "0", "--json")
    assert code == 0, err
    assert json.loads(out)["removed"]["macs"] == planned["macs"]
    assert_one_line(run(*asked, "--round-to", "8"), says="out of reach")
    assert_one_line(run(*asked, "--round-to", "0"), says="--round-to")


def test_global_ranking_takes_the_best_criterion_and_can_be_repeated(
    run: Run, swept: str, folder: Path
) -> None:
    path = folder / "global.json"
    asked = ["plan", "--run", swept, "--strategy", "global", "--out", path, "--json"]
    code, out, err = run(*asked, "--ratio", "0.4", "--normalizer", "l2")
    assert code == 0, err
    best = json.loads(out)
    used = {entry["criterion"] for entry in best["plan"]["entries"]}
    points = Store(folder / "workspace").points.table(swept)
    drops = {}
    for criterion in ("l1", "fpgm"):
        options = ["--ratio", "0.4", "--normalizer", "l2", "--criterion", criterion]
        code, out, err = run(*asked, *options)
        assert code == 0, err
        plan = Plan.from_dict(json.loads(out)["plan"])
        assert plan.recipe == Recipe(ratio=0.4, normalizer="l2")
        drops[criterion] = predict(plan, points).drop
    assert used == {min(drops, key=drops.__getitem__)}
    assert f"{used.pop()} ranks best" in best["message"]
    assert best["plan"]["recipe"]["criteria"] == "best"


def test_plan_and_evaluate_for_people(run: Run, swept: str, folder: Path) -> None:
    path = folder / "threshold.json"
    code, out, err = run("plan", "--run", swept, "--tolerance", "0.05", "--out", path)
    assert code == 0, err
    assert "criterion" in out
    assert "MACs stay" in err
    code, out, err = run("evaluate", "--plan", path, "--latency-seconds", "0", "--samples", "48")
    assert code == 0, err
    assert "removed" in out
    assert "answers of masked and removed are the same" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--strategy", "uniform"], "ratio"),
        (["--criterion", "taylor", "--tolerance", "0.01"], "did not measure criterion 'taylor'"),
        (["--strategy", "uniform", "--budget", "macs=0.000001"], "."),
        (["--strategy", "uniform", "--ratio", "0.5", "--layers", "nope"], "no layer fits"),
    ],
)
def test_plans_that_cannot_be(
    run: Run, swept: str, folder: Path, arguments: list[str], says: str
) -> None:
    path = folder / "never.json"
    assert_one_line(run("plan", "--run", swept, "--out", path, *arguments), says=says)
    assert not path.exists()


@pytest.mark.parametrize("command", ["evaluate", "recover", "export"])
def test_a_plan_with_an_unknown_criterion_is_refused(
    run: Run, swept: str, folder: Path, command: str
) -> None:
    """Point 3e of issue 8: kept indices were there, so that nobody asked for the criterion."""
    path = folder / "mistyped.json"
    run("plan", "--run", swept, "--strategy", "uniform", "--ratio", "0.5", "--out", path)
    path.write_text(path.read_text().replace('"criterion": "l1"', '"criterion": "l11"'))
    more = ["--out", folder / "never"] if command == "export" else []
    assert_one_line(run(command, "--plan", path, *more), says="did you mean l1?")
    assert not (folder / "never").exists()


def test_export_into_a_file_is_refused(run: Run, swept: str, plan_file: Path) -> None:
    if not plan_file.exists():
        run("plan", "--run", swept, "--strategy", "uniform", "--ratio", "0.5", "--out", plan_file)
    assert_one_line(
        run("export", "--plan", plan_file, "--format", "model", "--out", plan_file),
        says="is a file",
    )


# --- runs ----------------------------------------------------------------------------------------


def test_runs(run: Run, subject: list[str], swept: str, folder: Path) -> None:
    code, out, _ = run("runs", "list", "--json")
    assert code == 0
    listed = {item["run_id"]: item for item in json.loads(out)["runs"]}
    assert listed[swept]["state"] == "done"
    assert swept in run("runs", "list")[1]

    code, out, _ = run("runs", "show", swept, "--json")
    assert code == 0
    shown = json.loads(out)
    assert (shown["schema_version"], shown["points"]) == (2, 12)
    path = folder / "shown.csv"
    code, out, _ = run("runs", "show", swept, "--out", path)
    assert code == 0
    assert "dense accuracy" in out
    assert len(pd.read_csv(path)) == 12

    code, out, err = run("sweep", *subject, "--criteria", "l2", "--ratios", "0.5", "--json")
    assert code == 0, err
    other = json.loads(out)["run_id"]
    code, out, _ = run("runs", "merge", swept, other, "--json")
    assert code == 0
    merged = json.loads(out)
    assert merged["spec"]["criteria"] == ["l1", "fpgm", "l2"]
    assert merged["points"] == 14

    code, out, _ = run("runs", "delete", merged["run_id"], "--json")
    assert json.loads(out) == {"deleted": merged["run_id"]}
    assert_one_line(run("runs", "show", merged["run_id"]), says="unknown run")


def test_layers_without_a_curve_are_named(run: Run, subject: list[str], folder: Path) -> None:
    """N9 of issue 9: a plan listed them beside the others without a word."""
    code, out, _ = run(
        "sweep", *subject, "--criteria", "l1", "--ratios", "0.5", "--layers", "0", "--json"
    )
    assert code == 0
    run_id = json.loads(out)["run_id"]
    plan = ("plan", "--run", run_id, "--tolerance", "0.5", "--out", folder / "one.json")
    code, out, err = run(*plan)
    assert code == 0
    assert f"1 layer without a curve in run {run_id}: 2." in err
    assert json.loads(run(*plan, "--json")[1])["unmeasured"] == ["2"]


def test_waiting_for_another_run_is_said_in_logs(
    run: Run, subject: list[str], folder: Path
) -> None:
    """N8 of issue 9: logs were silent for as long as another run took."""
    store = Store(folder / "workspace")
    other = store.runs.create(SPEC)
    store.jobs.attach(other, owner="me", pid=os.getpid(), host=socket.gethostname())
    assert store.jobs.claim_device(other)
    end = threading.Timer(1.5, lambda: store.jobs.finish(other, "cancelled", owner="me", seconds=0))
    end.start()
    code, _, err = run("sweep", *subject, "--criteria", "l1", "--ratios", "0.5", "--layers", "0")
    end.join()
    assert code == 0
    assert err.count("Waiting for the device cpu: 1 run before this one.") == 1


def test_json_has_no_negative_zero(capsys: pytest.CaptureFixture[str]) -> None:
    """N9 of issue 9: `evaluate --json` gave changes of -0.0."""
    print_json({"change": -0.0, "classes": [{"change": -0.0}], "drop": -0.5})
    assert (
        capsys.readouterr().out == '{"change": 0.0, "classes": [{"change": 0.0}], "drop": -0.5}\n'
    )


# --- serve ---------------------------------------------------------------------------------------


def test_serve_passes_workspace_and_roots_to_the_dashboard(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []

    def execve(path: str, command: list[str], env: dict[str, str]) -> None:
        assert path == command[0]
        started.append((command, env))

    monkeypatch.setattr(serve.os, "execve", execve)
    monkeypatch.setattr(serve.subprocess, "call", lambda *_, **__: 0)
    code, out, _ = run(
        "serve", "--port", "0", "--workspace", tmp_path / "w", "--root", tmp_path, "--json"
    )
    assert code == 0
    command, environment = started[0]
    assert command[1:4] == ["-P", "-m", "streamlit"]
    assert Path(command[5]) == ROOT / "app.py"
    assert command[command.index("--server.address") + 1] == "127.0.0.1"
    port = command[command.index("--server.port") + 1]
    assert json.loads(out) == {
        "url": f"http://127.0.0.1:{port}",
        "workspace": str(tmp_path / "w"),
    }
    assert environment["PRUNESCOPE_WORKSPACE"] == str(tmp_path / "w")
    assert json.loads(environment["PRUNESCOPE_ROOTS"]) == [str(tmp_path)]
    assert (tmp_path / "w").is_dir()


def test_a_taken_port_is_one_line(run: Run) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert_one_line(run("serve", "--port", port), says="choose another --port")


def test_a_damaged_run_is_listed_beside_the_others_and_can_be_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Point 3c of issue 8: `runs list` failed, and so did `runs delete` of it."""
    store, place = Store(tmp_path), ["--workspace", str(tmp_path)]
    bad, good = store.runs.create(SPEC), store.runs.create(SPEC)
    with store.database.write() as db:
        db.execute("UPDATE runs SET spec = '{}' WHERE run_id = ?", (bad,))
        db.execute("UPDATE runs SET state = 'done'")
    assert main(["runs", "list", *place]) == 0
    printed = capsys.readouterr()
    rows = {row.split()[0]: row for row in printed.out.splitlines() if row.strip()}
    assert "damaged" in rows[bad]
    assert "done" in rows[good]
    assert f"Run {bad} cannot be read: SweepSpec: missing field subject" in printed.err
    assert main(["runs", "show", bad, *place]) == 1
    assert main(["runs", "delete", bad, *place]) == 0
    capsys.readouterr()
    assert main(["runs", "list", "--json", *place]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["run_id"] for row in found["runs"]] == [good]
    assert found["damaged"] == []


def test_a_reader_that_goes_away_ends_a_command_quietly() -> None:
    """`prunescope criteria | head -1` ended with a line about sys.exit."""
    command = [sys.executable, "-m", "analysis", "criteria"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert said == b""


def test_inspect_speaks_of_no_evaluation(run: Run, tmp_path: Path) -> None:
    """It said that calibration samples are not among those evaluated, but it evaluates nothing."""
    np.savez(
        tmp_path / "data.npz", images=np.zeros((60, 28, 28), np.uint8), labels=np.arange(60) % 10
    )
    code, out, err = run(
        "inspect", "--model", "sample:lenet5", "--data", f"npz:{tmp_path}/data.npz"
    )
    assert code == 0
    assert "evaluated" not in out + err
