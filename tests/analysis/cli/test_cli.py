"""Bad input, help, and plans from the command line."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from analysis.records.plan import Plan, Recipe
from analysis.store.store import Store
from tests.helpers.command_line import Run, assert_one_line

ROOT = Path(__file__).resolve().parents[3]


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


def test_a_full_disk_is_told_where_torch_looks_for_a_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python's tempfile, called as torch is loaded, ended in a traceback."""
    # Set by torch, where it is loaded already.
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    code = (
        "import resource, sys\nfrom analysis.__main__ import main\n"
        # Nothing can be written.
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\nsys.exit(main())"
    )
    command = [sys.executable, "-c", code, "inspect", "--model", "sample:lenet5"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    result = (found.returncode, found.stdout, found.stderr)
    assert_one_line(result, says="no temporary folder takes a file", code=1)


def test_no_arguments_and_help(run: Run) -> None:
    assert run()[0] == 0
    code, out, err = run("sweep", "--help")
    assert (code, err) == (0, "")
    assert "--criteria" in out
    code, out, err = run("--version")
    assert (code, err) == (0, "")
    # Packages of PyPI have no +cu130 in their names, which torch itself tells.
    assert out == f"prunescope {version('prunescope')}, torch {version('torch')}, " + (
        f"python {platform.python_version()}\n"
    )
    assert version("torch").partition("+")[0] == torch.__version__.partition("+")[0]


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
    # What was evaluated before stands in the files.
    card = json.loads((folder / "m" / "model.json").read_text())
    assert card["measured"]["samples"] == 96
    assert card["measured"]["accuracy"] == found["removed"]["accuracy"]


def test_a_plan_for_a_drop_is_measured(run: Run, swept: str, folder: Path) -> None:
    """The drop was predicted, or not even that, and nothing said so."""
    asked = ("plan", "--run", swept, "--strategy", "greedy", "--budget", "drop=0.3", "--json")
    code, out, err = run(*asked, "--out", folder / "drop.json")
    assert code == 0, err
    found = json.loads(out)["measured"]
    assert found["holds"]
    assert found["drop"] <= found["bound"] <= 0.3

    code, out, err = run(*asked[:-1], "--out", folder / "drop.json")
    assert code == 0
    assert "Measured accuracy drop after repair" in out + err
    assert "with 90\N{NO-BREAK SPACE}% confidence" in out + err


def test_evaluate_export_and_recover_repair_as_the_plan_says(
    run: Run, swept: str, folder: Path
) -> None:
    """A plan says how it is repaired, and everything follows it."""
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
    losses = {name: item["removed"]["measures"]["loss"] for name, item in found.items()}
    assert len(set(losses.values())) == 3
    code, out, err = run("recover", "--plan", path, "--json")
    assert code == 0, err
    assert json.loads(out)["method"] == "lsq"
    assert json.loads(out)["recovered"]["accuracy"] == found["lsq"]["removed"]["accuracy"]
    raw = ("evaluate", "--plan", path, "--repair", "none", "--latency-seconds", "0", "--json")
    assert json.loads(run(*raw)[1])["removed"]["measures"]["loss"] == losses["none"]
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


def test_a_budget_in_time_is_of_the_runtime_that_was_asked_for(
    run: Run, swept: str, folder: Path
) -> None:
    """With the extra onnx also of ONNX Runtime, by which the plan is measured."""
    pytest.importorskip("onnxruntime")
    path = folder / "timed.json"
    options = ("--strategy", "uniform", "--criterion", "l1", "--runtime", "onnx", "--out", path)
    # However busy the machine is: no model takes a minute.
    code, _, err = run("plan", "--run", swept, "--budget", "latency=60000ms", *options)
    assert code == 0, err
    assert "by ONNX Runtime: " in err
    recipe = Plan.from_json(path.read_text()).recipe
    assert recipe is not None
    assert recipe.runtime == "onnx"


def test_global_ranking_takes_the_best_criterion_and_can_be_repeated(
    run: Run, swept: str, folder: Path
) -> None:
    path = folder / "global.json"
    asked = ["plan", "--run", swept, "--strategy", "global", "--out", path, "--json"]
    code, out, err = run(*asked, "--ratio", "0.4", "--normalizer", "l2")
    assert code == 0, err
    best = json.loads(out)
    used = {entry["criterion"] for entry in best["plan"]["entries"]}
    drops = {}
    for criterion in ("l1", "fpgm"):
        options = ["--ratio", "0.4", "--normalizer", "l2", "--criterion", criterion]
        code, out, err = run(*asked, *options)
        assert code == 0, err
        found = json.loads(out)
        assert Plan.from_dict(found["plan"]).recipe == Recipe(ratio=0.4, normalizer="l2")
        drops[criterion] = found["predicted"]["drop"]
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
    """Kept indices were there, so that nobody asked for the criterion."""
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
