"""Data in files: hashed once, and again when they change."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from analysis.evaluation.session import Subjects
from analysis.records import SubjectSpec
from analysis.subjects.data.file_digests import SETTLED_SECONDS, FileDigests
from analysis.subjects.data.split import Split
from analysis.subjects.subject import load_subject
from pruners.errors import InputError
from tests.helpers.command_line import Run


def write_pictures(folder: Path, count: int = 6) -> None:
    for kind in ("a", "b"):
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8), (20 * number, 0, 9)).save(folder / kind / f"{number}.bmp")


def settle(folder: Path) -> None:
    """Wait, in effect, until files are old enough to be remembered."""
    for path in folder.rglob("*.bmp"):
        os.utime(path, (1e9, 1e9))


def test_files_are_hashed_once_and_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Remembered by path, size and time, also where a tool puts the time back."""
    monkeypatch.setattr("analysis.subjects.data.file_digests.SETTLED_SECONDS", -1.0)
    write_pictures(tmp_path / "d")
    paths = sorted(str(path) for path in (tmp_path / "d").rglob("*.bmp"))
    first = FileDigests(tmp_path / "cache")
    digest = first.of(paths)
    assert first.hashed == len(paths)
    again = FileDigests(tmp_path / "cache")
    assert again.of(paths) == digest == FileDigests().of(paths)
    assert again.hashed == 0
    assert again.of(paths[::-1]) != digest
    path = Path(paths[3])
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert FileDigests(tmp_path / "cache").of(paths) != digest
    assert SETTLED_SECONDS > 1


def test_what_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for text in ("a", "b"):
        path.write_text(text)
        digests = FileDigests(tmp_path / "cache")
        digests.of([str(path)])
        assert digests.hashed == 1
    assert not (tmp_path / "cache").exists()


def folder_spec(tmp_path: Path) -> SubjectSpec:
    write_pictures(tmp_path / "d")
    (tmp_path / "model.py").write_text(
        "from torch import nn\n"
        "def build(): return nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten(), nn.Linear(4, 2))",
        encoding="utf-8",
    )
    data = f"imagefolder:{tmp_path / 'd'}#size=8&resize=8"
    return SubjectSpec(model=f"{tmp_path}/model.py:build", data=data, calibration_samples=0)


def test_pictures_that_are_overwritten_are_seen(tmp_path: Path) -> None:
    """One that was overwritten in its folder left the dashboard as it was."""
    spec, held = folder_spec(tmp_path), Subjects()
    first = held.get(spec, [tmp_path], tmp_path / "cache")
    assert held.peek(spec) is first
    Image.new("RGB", (8, 8), (3, 4, 5)).save(tmp_path / "d" / "b" / "2.bmp")
    assert held.peek(spec) is None
    second = held.get(spec, [tmp_path], tmp_path / "cache")
    assert second.identity.data != first.identity.data
    assert held.peek(spec) is second


def test_a_picture_that_is_overwritten_in_use_is_refused(tmp_path: Path) -> None:
    """A large folder is read while the sweep goes, after it was hashed."""
    subject = load_subject(folder_spec(tmp_path))
    assert subject.evaluation is not None
    source, indices = subject.evaluation.source, subject.evaluation.indices
    large = Split(source, indices, form=(2,), preload_bytes=0)
    assert torch.equal(large.part(0, 12)[0], subject.evaluation.part(0, 12)[0])
    Image.new("RGB", (8, 8), (3, 4, 5)).save(tmp_path / "d" / "b" / "2.bmp")
    with pytest.raises(InputError, match=r"b/2\.bmp was written again while it was in use"):
        large.part(0, 12)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "sample {} holds numbers that are not finite"),
        (float("inf"), "sample {} holds numbers that are not finite"),
        (3e38, "outputs of sample {} of '{}' are not finite"),
    ],
)
def test_a_sample_that_the_dense_model_does_not_answer_is_named(
    run: Run, tmp_path: Path, value: float, said: str
) -> None:
    """One beyond those probed gave dense loss 0 and state done."""
    spec = folder_spec(tmp_path)
    with (tmp_path / "model.py").open("a", encoding="utf-8") as model:
        model.write("\ndef summing():\n    net = build(); nn.init.ones_(net[0].weight); return net")
    spec = dataclasses.replace(spec, model=spec.model.replace("build", "summing"))
    images = np.random.default_rng(0).normal(size=(150, 3, 8, 8)).astype(np.float32)
    bad = load_subject(dataclasses.replace(spec, data=save(tmp_path, images))).evaluation
    assert bad is not None
    place = bad.indices[140]
    images[place, 1] = value
    data = save(tmp_path, images)
    sweep = ["sweep", "--model", spec.model, "--data", data, "--ratios", "0.5", "--criteria"]
    code, _, err = run(*sweep, "l1")
    assert code == 2
    assert said.format(place, data) in err
    # It would fail there again.
    assert "--resume" not in err


def save(folder: Path, images: np.ndarray) -> str:
    np.savez(folder / "d.npz", images=images, labels=np.zeros(len(images), np.int64))
    return f"npz:{folder / 'd.npz'}"
