"""Exports: what is written reads back, and the exported script runs on its own."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

from analysis import interop, plans
from analysis.evaluation.evaluate import evaluate_plan
from analysis.files import sha256, write_zip
from analysis.interop.request import Format
from analysis.interop.verification import reading_back
from analysis.plans.editing import set_ratio
from analysis.plans.files import read_plan
from analysis.records.plan import Plan
from analysis.recovery.plan_repair import recover_plan, recovered_model
from pruners.errors import (
    CaptureError,
    InputError,
    PlanError,
    StoreError,
    UnknownNameError,
)
from tests.analysis.points_tables import table
from tests.helpers.contexts import sample_context
from tests.helpers.plans import at_ratio

POINTS = table({("l1", "conv1"): [0.0] * 9, ("l1", "conv2"): [0.1] * 9})


def some_plan(*, ratio: float = 0.5) -> Plan:
    plan = plans.start_plan(sample_context("lenet5"), criterion="l1")
    return at_ratio(plan, [entry.name for entry in plan.entries], ratio)


def request(directory: Path, **changes: object) -> interop.ExportRequest:
    base = interop.ExportRequest(
        prepared=sample_context("lenet5"), plan=some_plan(), directory=directory, points=POINTS
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def paths_of(done: interop.Exported) -> list[Path]:
    return [path for path, _ in done.files]


# Reads the exported model by the exported script alone; the tests' own data comes as plain JSON.
ELSEWHERE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import rebuild, torch
model = rebuild.load()
data = json.load(open(sys.argv[2]))
with torch.no_grad():
    answers = model(torch.tensor(data["inputs"])).argmax(1)
right = int((answers == torch.tensor(data["labels"])).sum())
print(json.dumps({"right": right, "modules": sorted({m.split(".")[0] for m in sys.modules})}))
"""


def test_the_exported_script_gives_the_same_accuracy_in_another_process(tmp_path: Path) -> None:
    prepared = sample_context("lenet5")
    found = evaluate_plan(prepared, some_plan(), latency_seconds=0)
    interop.export("model", request(tmp_path / "out", evaluation=found))
    split = prepared.subject.evaluation
    assert split is not None
    inputs, labels = next(split.batches(len(split)))
    assert labels is not None
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"inputs": inputs.tolist(), "labels": labels.tolist()}))
    done = subprocess.run(
        [sys.executable, "-I", "-c", ELSEWHERE, str(tmp_path / "out"), str(data)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=240,
    )
    answer = json.loads(done.stdout)
    assert answer["right"] == found.removed.sums["correct"]
    assert not set(answer["modules"]) & {"pruners", "analysis", "sample_models", "safetensors"}
    card = json.loads((tmp_path / "out" / "model.json").read_text())
    assert card["measured"]["correct"] == found.removed.sums["correct"]
    assert card["params"] == found.removed.params
    assert card["weights_sha256"] == sha256(tmp_path / "out" / "model.safetensors")


def test_round_trip(tmp_path: Path) -> None:
    prepared = sample_context("lenet5")
    found = interop.round_trip(prepared, some_plan(), points=POINTS, directory=tmp_path)
    assert not list(tmp_path.rglob("__pycache__"))
    assert [check.name for check in found.checks] == [
        "plan",
        "indices",
        "weights",
        "script",
        "accuracy",
        "points",
    ]
    assert found.passed, [check.text for check in found.checks]
    measured = evaluate_plan(prepared, some_plan(), latency_seconds=0)
    assert (found.samples, found.correct) == (measured.samples, measured.removed.sums["correct"])
    assert interop.RoundTrip.from_dict(found.to_dict()) == found
    assert not (tmp_path / "samples.safetensors").exists()


@pytest.mark.parametrize(
    ("driver", "told"),
    [
        ("raise SystemExit('no torch here')", "no torch here"),
        (
            "print('hello')",
            "its output is not JSON: Expecting value: line 1 column 1 (char 0)",
        ),
        (
            'print(\'{"shape": [0.5], "check": 0}\')',
            "its output.shape[0]: expected int, found 0.5",
        ),
    ],
)
def test_a_broken_script_fails_the_round_trip(
    driver: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_back, "DRIVER", driver)
    found = interop.round_trip(sample_context("lenet5"), some_plan(), directory=tmp_path)
    assert not found.passed
    assert found.checks[-1].text == f"script: failed: {told}"
    assert not (tmp_path / "samples.safetensors").exists()


def test_a_model_that_cannot_be_written_as_code_still_exports_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(model: nn.Module, example: Tensor, directory: Path) -> None:
        raise CaptureError("torch.export cannot capture this")

    monkeypatch.setattr("analysis.interop.formats.smaller_model.write_script", refuse)
    done = interop.export("model", request(tmp_path))
    assert [path.name for path in paths_of(done)] == ["model.safetensors", "model.json"]
    assert "torch.export cannot capture this" in done.notes[0]
    assert json.loads((tmp_path / "model.json").read_text())["script"] is None
    small = plans.removed_model(sample_context("lenet5"), some_plan())
    weights = safetensors.torch.load_file(str(tmp_path / "model.safetensors"))
    assert set(weights) == set(small.state_dict())
    found = interop.round_trip(sample_context("lenet5"), some_plan(), directory=tmp_path / "trip")
    assert not found.passed


def test_the_plan_lists_kept_indices_and_only_what_is_pruned(tmp_path: Path) -> None:
    plan = set_ratio(some_plan(ratio=0.0), "conv2", 0.25)
    (path,) = paths_of(interop.export("json", request(tmp_path, plan=plan)))
    back = read_plan(path)
    assert [entry.layer for entry in back.entries] == ["conv2"]
    assert len(back.entries[0].indices or ()) == back.entries[0].kept == 12
    assert back.fingerprint == sample_context("lenet5").subject.fingerprint


def test_the_plan_carries_what_was_measured(tmp_path: Path) -> None:
    found = evaluate_plan(sample_context("lenet5"), some_plan(), latency_seconds=0)
    (path,) = paths_of(interop.export("json", request(tmp_path, evaluation=found)))
    assert read_plan(path).extra["measured"]["correct"] == found.removed.sums["correct"]


def test_points(tmp_path: Path) -> None:
    (path,) = paths_of(interop.export("csv", request(tmp_path)))
    pd.testing.assert_frame_equal(pd.read_csv(path), POINTS, check_exact=False)
    with pytest.raises(InputError, match="no run with points"):
        interop.export("csv", request(tmp_path, points=None))


def test_everything_in_one_zip(tmp_path: Path) -> None:
    found = evaluate_plan(sample_context("lenet5"), some_plan(), latency_seconds=0)
    done = interop.export("zip", request(tmp_path, name="half", evaluation=found))
    archive = zipfile.ZipFile(tmp_path / "half.zip")
    assert sorted(archive.namelist()) == sorted(
        f"half/{name}"
        for name in (
            "README.md",
            "half.json",
            "model.json",
            "model.safetensors",
            "points.csv",
            "rebuild.py",
        )
    )
    assert paths_of(done)[0].name == "half.zip"
    for path in paths_of(done)[1:]:
        assert archive.read(f"half/{path.name}") == path.read_bytes()
    about = (tmp_path / "README.md").read_text()
    assert f"{found.removed.sums['correct']}/{found.samples}" in about
    assert "| conv2 | l1 | channel | 8 | 16 | 50.0% |" in about
    assert "samples.safetensors" not in about
    assert not list(tmp_path.glob("*.partial"))


def test_equal_models_give_equal_bytes(tmp_path: Path) -> None:
    """Found by a newcomer: the library writes metadata in the order of a hash table."""
    model = plans.removed_model(sample_context("lenet5"), some_plan())
    example = torch.zeros(2, 1, 28, 28)
    written = set()
    for number in range(8):
        interop.write_script(model, example, tmp_path / str(number))
        written.add((tmp_path / str(number) / interop.WEIGHTS).read_bytes())
    assert len(written) == 1
    with safe_open(tmp_path / "0" / interop.WEIGHTS, "pt") as file:
        assert file.metadata()["format"] == "pt"
        assert set(file.keys()) == set(model.state_dict())


def test_equal_files_give_an_equal_zip(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    first = write_zip(tmp_path / "1.zip", [tmp_path / "a.txt"], folder="x")
    (tmp_path / "a.txt").touch()
    second = write_zip(tmp_path / "2.zip", [tmp_path / "a.txt"], folder="x")
    assert first.read_bytes() == second.read_bytes()


def test_problems_are_said_before(tmp_path: Path) -> None:
    found = interop.problems(request(tmp_path, plan=some_plan(ratio=0.0), points=None))
    assert [line.split(":")[0] for line in found] == [
        "the plan removes nothing",
        "no points",
        "the plan was not evaluated",
    ]
    failed = POINTS.assign(status="failed")
    assert "18 points failed" in interop.problems(request(tmp_path, points=failed))


def test_bad_exports_give_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="export format 'onyx'"):
        interop.export("onyx", request(tmp_path))
    with pytest.raises(InputError, match="letters, digits"):
        interop.export("json", request(tmp_path, name="../plan"))
    other = dataclasses.replace(some_plan(), fingerprint="0" * 64)
    with pytest.raises(PlanError, match="made for weights"):
        interop.export("json", request(tmp_path, plan=other))
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write to"):
        interop.export("json", request(tmp_path / "file"))


def test_registry() -> None:
    assert {"json", "model", "csv", "zip"} <= set(interop.FORMATS.names())
    assert all(entry.help.endswith(".") for entry in interop.FORMATS)
    # Each format says what of a plan it keeps and what it loses, and what reads it.
    assert all(entry.keeps and entry.loses for entry in interop.FORMATS)
    assert all(entry.install for entry in interop.FORMATS if entry.target)
    # Prose stood between the commands, in the style of code.
    lines = [line for entry in interop.FORMATS for line in entry.install.splitlines()]
    assert all(line.startswith("pip install ") and ", " not in line for line in lines)
    assert interop.FORMATS.get("nni").installing == (
        "`pip install nni==2.10 tensorboard` or `pip install nni==3.0`, each in an environment of "
        "its own"
    )
    assert (
        Format(
            "a",
            "A",
            "Writes.",
            interop.FORMATS.get("json").fn,
            keeps="the choice",
            loses="the weights",
        ).described
        == "Keeps the choice; loses the weights."
    )


def test_hand_chosen_indices_are_exported_as_they_are(tmp_path: Path) -> None:
    plan = set_ratio(some_plan(ratio=0.0), "conv1", 0.5)
    entries = tuple(
        dataclasses.replace(entry, indices=(0, 1, 2)) if entry.layer == "conv1" else entry
        for entry in plan.entries
    )
    plan = dataclasses.replace(plan, entries=entries)
    interop.export("model", request(tmp_path, plan=plan))
    weight = safetensors.torch.load_file(str(tmp_path / "model.safetensors"))["conv1.weight"]
    dense = dict(sample_context("lenet5").model.named_modules())["conv1"].weight
    assert torch.equal(weight, dense[:3])


@pytest.mark.parametrize("method", ["lsq", "search"])
def test_a_repaired_model_is_exported_as_it_was_evaluated(tmp_path: Path, method: str) -> None:
    prepared = sample_context("lenet5")
    recovery = recover_plan(prepared, some_plan(), method=method)
    found = evaluate_plan(prepared, some_plan(), recovery=recovery, latency_seconds=0)
    done = interop.export("zip", request(tmp_path / "zip", recovery=recovery, evaluation=found))
    assert any(f"repaired by {method} on 64 calibration samples" in note for note in done.notes)
    weights = safetensors.torch.load_file(str(tmp_path / "zip" / "model.safetensors"))
    for name, tensor in recovered_model(prepared, recovery).state_dict().items():
        assert torch.equal(weights[name], tensor), name
    card = json.loads((tmp_path / "zip" / "model.json").read_text())
    assert (card["repair"], card["measured"]["correct"]) == (method, found.removed.sums["correct"])
    plan = read_plan(tmp_path / "zip" / "plan.json")
    assert plan.extra["measured"]["repair"] == method
    indices = {entry.layer: entry.indices for entry in recovery.plan.entries}
    assert {entry.layer: entry.indices for entry in plan.entries} == {
        entry.layer: indices[entry.layer] for entry in plan.entries
    }
    assert f"--repair {method}" in (tmp_path / "zip" / "README.md").read_text()
    back = interop.round_trip(prepared, some_plan(), recovery=recovery, directory=tmp_path / "trip")
    assert back.passed, [check.text for check in back.checks]
    assert (back.samples, back.correct) == (found.samples, found.removed.sums["correct"])


@pytest.mark.parametrize("repaired", ["evaluation", "export"])
def test_numbers_of_another_model_are_not_exported(tmp_path: Path, repaired: str) -> None:
    prepared = sample_context("lenet5")
    recovery = recover_plan(prepared, some_plan(), method="lsq")
    by = {"evaluation": recovery, "export": None}
    found = evaluate_plan(prepared, some_plan(), recovery=by[repaired], latency_seconds=0)
    exported = recovery if repaired == "export" else None
    with pytest.raises(InputError, match="evaluate the model that you export"):
        interop.export("model", request(tmp_path / "out", recovery=exported, evaluation=found))
    assert not (tmp_path / "out").exists()


class TestDisksThatFail:
    """Tracebacks, `.partial` files and halves of exports were left."""

    @pytest.mark.parametrize("name", ["model", "zip"])
    @pytest.mark.parametrize("raised", [OSError(28, "No space left on device"), None])
    def test_an_export_is_whole_or_absent(
        self, name: str, raised: OSError | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out, old = tmp_path / "new", tmp_path / "old"
        old.mkdir()
        (old / "model.safetensors").write_bytes(b"of before")
        error = raised or safetensors.SafetensorError("I/O error: No space left on device")

        def refuse(*_: object, **__: object) -> None:
            raise error

        # The last file of an export, or its weights.
        for place in ("smaller_model.sha256", "bundle.write_zip")[name == "zip" :]:
            monkeypatch.setattr(f"analysis.interop.formats.{place}", refuse)
        for folder in (out, old):
            with pytest.raises(StoreError, match="No space left on device") as found:
                interop.export(name, request(folder))
            assert "\n" not in str(found.value)
        assert not out.exists()
        assert [path.name for path in old.iterdir()] == ["model.safetensors"]
        assert (old / "model.safetensors").read_bytes() == b"of before"

    @pytest.mark.parametrize("last", ["script.safetensors.torch.save_file", "plan"])
    def test_a_recovered_model_is_whole_or_absent(
        self, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`recover --out` was a traceback, and left its folder and what was in."""
        prepared = sample_context("lenet5")
        recovery = recover_plan(prepared, some_plan(), method="lsq")

        def full(*_: object, **__: object) -> None:
            raise safetensors.SafetensorError("I/O error: No space left on device")

        place = "recovered_model.write_plan" if last == "plan" else f"formats.{last}"
        monkeypatch.setattr(f"analysis.interop.{place}", full)
        with pytest.raises(StoreError, match=r"cannot write to .*out: .*No space left on device"):
            interop.write_recovered(prepared, recovery, tmp_path / "out")
        assert not list(tmp_path.iterdir())

    def test_a_folder_in_the_way_of_one_file_leaves_the_others(self, tmp_path: Path) -> None:
        (tmp_path / "rebuild.py").mkdir()
        with pytest.raises(StoreError, match=r"rebuild\.py is a folder there"):
            interop.export("model", request(tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == ["rebuild.py"]

    def test_a_plan_that_cannot_be_written_is_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        for path in (tmp_path, tmp_path / "file" / "plan.json", tmp_path / ("n" * 300)):
            with pytest.raises(StoreError, match="cannot write to"):
                plans.write_plan(some_plan(), path)

        def full(self: Path, *_: object, **__: object) -> None:
            self.touch()
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_text", full)
        with pytest.raises(StoreError, match=r"plan\.json: No space left on device"):
            plans.write_plan(some_plan(), tmp_path / "plan.json")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
