"""Weights or data that were written again after a sweep: seen, and said in one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch

from analysis.cli import main
from analysis.records.subject import SubjectSpec
from analysis.subjects.models import load_model
from analysis.subjects.parsing import parse_model
from analysis.subjects.stamps import stamp
from tests.helpers.tiny_subject import seeded_state, write_images, write_subject

Run = Callable[..., tuple[int, str, str]]


CHANGED_FORWARD = """

plain = build


def build():
    model = plain()
    model[1].forward = torch.tanh
    return model
"""

CHANGED_MODULES = """

plain = build


def build():
    model = plain()
    model[1] = torch.nn.SiLU()
    return model
"""


def write_weights(spec: SubjectSpec, folder: Path, *, seed: int) -> str:
    """Write weights for the tiny model; return the model's address with them."""
    path = folder / "weights.safetensors"
    model = load_model(parse_model(spec.model)).model
    safetensors.torch.save_file(seeded_state(model, seed=seed), str(path))
    return f"{spec.model}#weights={path}"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("PRUNESCOPE_WORKSPACE", str(tmp_path / "workspace"))

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(item) for item in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.mark.parametrize("what", ["weights", "modules", "data", "forward pass"])
def test_a_plan_from_curves_of_another_content_is_refused(
    run: Run, tmp_path: Path, what: str
) -> None:
    """A plan with the new fingerprint from the old curves, exit 0."""
    spec = write_subject(tmp_path)
    model = write_weights(spec, tmp_path, seed=1)
    subject = ["--model", model, "--data", spec.data, "--samples", "64", "--criteria", "l1"]
    code, _, err = run("sweep", *subject, "--ratios", "0.5", "--calibration-samples", "16")
    assert code == 0, err
    out = tmp_path / "plan.json"
    choose = (
        "plan",
        "--run",
        "last",
        "--strategy",
        "threshold",
        "--tolerance",
        "0.5",
        "--out",
        out,
    )
    code, _, err = run(*choose)
    assert code == 0, err
    out.unlink()
    if what == "weights":
        write_weights(spec, tmp_path, seed=2)
    elif what == "modules":
        # The weights were said to have changed, whose file was as it had been.
        path = tmp_path / "tiny_model.py"
        path.write_text(path.read_text() + CHANGED_MODULES, encoding="utf-8")
    elif what == "forward pass":
        # The modules print themselves as before.
        path = tmp_path / "tiny_model.py"
        path.write_text(path.read_text() + CHANGED_FORWARD, encoding="utf-8")
    else:
        write_images(tmp_path / "tiny.npz", count=241)
    code, printed, err = run(*choose)
    assert code == 2
    assert printed == ""
    said = "weights or modules" if what in ("weights", "modules") else what
    assert err.startswith(f"prunescope: the {said} of ")
    assert "changed since run" in err
    assert err.count("\n") == 1
    assert not out.exists()


def test_points_of_another_content_are_not_exported(run: Run, tmp_path: Path) -> None:
    """The repair of the plan calibrates on samples that the run evaluated: the content is that."""
    spec = write_subject(tmp_path)
    subject = ["--model", spec.model, "--data", spec.data, "--samples", "64", "--criteria", "l1"]
    assert run("sweep", *subject, "--ratios", "0.5")[0] == 0
    plan = tmp_path / "plan.json"
    assert run("plan", "--run", "last", "--tolerance", "0.5", "--out", plan)[0] == 0
    export = ("export", "--plan", plan, "--out", tmp_path / "out", "--format")
    code, _, err = run(*export, "csv")
    assert code == 0, err
    assert "content" not in err
    write_images(tmp_path / "tiny.npz", count=241)
    code, _, err = run(*export, "csv")
    assert code == 2
    assert "measured another content of the subject; its points are left out" in err
    (tmp_path / "out" / "points.csv").unlink()
    assert run(*export, "zip")[0] == 0
    assert not (tmp_path / "out" / "points.csv").exists()


def test_a_stamp_changes_with_each_file_that_is_written_again(tmp_path: Path) -> None:
    spec = write_subject(tmp_path)
    spec = SubjectSpec(
        model=write_weights(spec, tmp_path, seed=1),
        data=spec.data,
        criterion_files=(str(tmp_path / "own.py"),),
    )
    last = stamp(spec)
    assert stamp(spec) == last
    for name in ("weights.safetensors", "tiny_model.py", "tiny.npz", "own.py"):
        path = tmp_path / name
        content = path.read_bytes() if path.exists() else b"# nothing"
        path.write_bytes(content)
        # As an editor a moment later would: a clock may be coarser than this test is fast.
        os.utime(path, ns=(1, 1))
        now = stamp(spec)
        assert now != last, name
        last = now


def test_a_stamp_sees_images_that_come_and_go(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    spec = SubjectSpec(model="sample:lenet5", data=f"imagefolder:{tmp_path / 'photos'}")
    os.utime(folder, ns=(1, 1))
    last = stamp(spec)
    (folder / "one.png").write_bytes(b"x")
    assert stamp(spec) != last


@pytest.mark.parametrize("address", ["nonsense", "npz:\0", "npz:" + "a" * 5000, "imagefolder:/no"])
def test_a_stamp_takes_any_address(address: str) -> None:
    spec = SubjectSpec(model="sample:lenet5", data=address)
    assert stamp(spec) == stamp(spec)
