"""The shipped images are the right ones and whole."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
import torch

import sample_models
from sample_models import fashion_mnist, images
from sample_models.tools import data


@pytest.mark.parametrize(("split", "count"), [("test", 10_000), ("calibration", 2_000)])
def test_sizes_and_balance(split: sample_models.Split, count: int) -> None:
    pictures, labels = sample_models.load_images(split)
    assert pictures.shape == (count, 1, 28, 28)
    assert pictures.dtype == torch.uint8
    assert labels.shape == (count,)
    assert labels.dtype == torch.int64
    assert labels.bincount().tolist() == [count // 10] * len(sample_models.CLASSES)


def test_first_test_images_are_the_known_ones() -> None:
    pictures, labels = sample_models.load_images("test")
    named = [sample_models.CLASSES[label] for label in labels[:4].tolist()]
    assert named == ["Ankle boot", "Pullover", "Trouser", "Trouser"]
    # An ankle boot lies low in the picture.
    assert pictures[0, 0, :7].sum() == 0
    assert pictures[0, 0, 14:].sum() > 0


def test_splits_have_no_image_in_common() -> None:
    test, _ = sample_models.load_images("test")
    calibration, _ = sample_models.load_images("calibration")
    seen = {bytes(image) for image in test.numpy()}
    common = sum(bytes(image) in seen for image in calibration.numpy())
    assert common == 0


def test_normalize() -> None:
    pictures, _ = sample_models.load_images("calibration")
    before = pictures.clone()
    values = sample_models.normalize(pictures)
    assert values.dtype == torch.float32
    assert torch.equal(pictures, before)
    assert abs(float(values.mean())) < 0.05
    assert abs(float(values.std()) - 1) < 0.05


def test_unknown_split() -> None:
    with pytest.raises(ValueError, match=r"'train'.*test, calibration"):
        sample_models.load_images("train")  # type: ignore[arg-type]


def test_damaged_data_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(images.DATA_FILE.read_bytes())
    content[1000] ^= 1
    (tmp_path / "data.npz").write_bytes(content)
    monkeypatch.setattr(images, "DATA_FILE", tmp_path / "data.npz")
    with pytest.raises(sample_models.CorruptFileError, match="damaged") as caught:
        sample_models.load_images("test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_damaged_checksum(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "facts.json").write_text(content, encoding="utf-8")
    monkeypatch.setattr(images, "DATA_FACTS", tmp_path / "facts.json")
    with pytest.raises(sample_models.CorruptFileError, match="checksum"):
        sample_models.load_images("test")


def test_choose_balanced_repeats_and_is_balanced() -> None:
    labels = torch.arange(1000) % 10
    first = data.choose_balanced(labels, per_class=7, seed=1)
    assert torch.equal(first, data.choose_balanced(labels, per_class=7, seed=1))
    assert not torch.equal(first, data.choose_balanced(labels, per_class=7, seed=2))
    assert labels[first].bincount().tolist() == [7] * 10
    assert len(first.unique()) == 70


def write_raw(folder: Path, *, train: int, test: int) -> None:
    """Write small files in the original format; pixel values tell the position."""
    for prefix, count in (("train", train), ("t10k", test)):
        pixels = bytes(i % 251 for i in range(count) for _ in range(784))
        head = struct.pack(">HBB3I", 0, 8, 3, count, 28, 28)
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels))
        head = struct.pack(">HBB1I", 0, 8, 1, count)
        labels = bytes(i % 10 for i in range(count))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(head + labels))


def test_make_data_from_raw_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_raw(tmp_path, train=2500, test=30)
    out, facts = tmp_path / "made.npz", tmp_path / "made.json"
    data.make(tmp_path, out=out, facts=facts)
    monkeypatch.setattr(images, "DATA_FILE", out)
    monkeypatch.setattr(images, "DATA_FACTS", facts)
    pictures, labels = sample_models.load_images("test")
    assert torch.equal(pictures[:, 0, 0, 0], torch.arange(30, dtype=torch.uint8))
    assert torch.equal(labels, torch.arange(30) % 10)
    assert sample_models.load_images("calibration")[0].shape == (2000, 1, 28, 28)


def test_file_that_is_not_idx(tmp_path: Path) -> None:
    write_raw(tmp_path, train=1, test=1)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"no IDX file at all"))
    with pytest.raises(ValueError, match="not an IDX file"):
        fashion_mnist.read_raw(tmp_path, split="train")


def test_missing_raw_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert data.main(["--data-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
