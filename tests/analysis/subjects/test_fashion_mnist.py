"""Fashion-MNIST from its original files (small ones written here)."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

import sample_models
from analysis.records import SubjectSpec
from analysis.subjects import load_subject, parse_data
from analysis.subjects.data import LoadedData, load_data
from pruners.errors import AddressError

NAMES = {"train": "train", "test": "t10k"}


def idx(array: np.ndarray) -> bytes:
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def write_split(folder: Path, split: str, count: int, *, packed: bool) -> np.ndarray:
    """Write images and labels; the label is the number modulo 10."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        path = folder / f"{NAMES[split]}-{name}-ubyte"
        if packed:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            path.write_bytes(idx(array))
    return images


def opened(text: str, roots: list[Path] | None = None) -> LoadedData:
    return load_data(parse_data(text), roots=roots)


@pytest.mark.parametrize("place", [".", "FashionMNIST/raw", "raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_both_parts_are_found_packed_or_not(tmp_path: Path, place: str, packed: bool) -> None:
    test = write_split(tmp_path / place, "test", 12, packed=packed)
    train = write_split(tmp_path / place, "train", 30, packed=packed)
    data = opened(f"fashion-mnist:{tmp_path}")
    assert data.calibration is not None
    for source, images in ((data.evaluation, test), (data.calibration, train)):
        inputs, labels = source.read(range(len(images)))
        pixels = torch.from_numpy(images).float().div(255)[:, None]
        torch.testing.assert_close(inputs, (pixels - sample_models.MEAN) / sample_models.STD)
        assert labels is not None
        assert labels.tolist() == [at % 10 for at in range(len(images))]
        assert source.class_names == sample_models.CLASSES


def test_one_part_needs_only_its_own_files(tmp_path: Path) -> None:
    write_split(tmp_path, "train", 30, packed=True)
    data = opened(f"fashion-mnist:{tmp_path}#split=train")
    assert (len(data.evaluation), data.calibration) == (30, None)
    with pytest.raises(AddressError, match="has no t10k-images-idx3-ubyte"):
        opened(f"fashion-mnist:{tmp_path}")
    with pytest.raises(AddressError, match="split is train or test, found 'val'"):
        opened(f"fashion-mnist:{tmp_path}#split=val")
    with pytest.raises(AddressError, match=r"there is no folder .*nowhere"):
        opened(f"fashion-mnist:{tmp_path / 'nowhere'}#split=train")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("images-idx3", b"\x1f\x8bnonsense", "images-idx3-ubyte.gz is damaged"),
        ("images-idx3", gzip.compress(idx(np.zeros((4, 28, 28), np.uint8)))[:-9], "is damaged"),
        ("images-idx3", gzip.compress(idx(np.zeros((4, 28, 28), np.uint8))[:-9]), "is damaged"),
        ("images-idx3", gzip.compress(b"abc"), "is not an IDX file of unsigned bytes"),
        ("images-idx3", gzip.compress(idx(np.zeros((4, 9, 9), np.uint8))), "of .9, 9. pixels"),
        ("labels-idx1", gzip.compress(idx(np.zeros(3, np.uint8))), "4 images, .* 3 labels"),
        ("labels-idx1", gzip.compress(idx(np.full(4, 11, np.uint8))), "holds class 11"),
    ],
    ids=["no gzip", "cut off", "too short", "no idx", "small", "labels missing", "no class"],
)
def test_damaged_files_are_told_in_one_line(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    write_split(tmp_path, "train", 4, packed=True)
    (tmp_path / f"train-{name}-ubyte.gz").write_bytes(content)
    with pytest.raises(AddressError, match=problem) as found:
        opened(f"fashion-mnist:{tmp_path}#split=train")
    assert "\n" not in str(found.value)


def test_files_out_of_the_allowed_folders_are_refused(tmp_path: Path) -> None:
    """Also those that a link in an allowed folder leads to."""
    write_split(tmp_path / "elsewhere", "train", 4, packed=False)
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    with pytest.raises(AddressError, match="outside of the folders"):
        opened(f"fashion-mnist:{tmp_path / 'elsewhere'}#split=train", [allowed])
    for file in (tmp_path / "elsewhere").iterdir():
        (allowed / file.name).symlink_to(file)
    with pytest.raises(AddressError, match="outside of the folders"):
        opened(f"fashion-mnist:{allowed}#split=train", [allowed])


def test_a_subject_calibrates_on_the_training_images(tmp_path: Path) -> None:
    write_split(tmp_path, "test", 40, packed=False)
    write_split(tmp_path, "train", 90, packed=False)
    spec = SubjectSpec(
        model="sample:lenet5", data=f"fashion-mnist:{tmp_path}", calibration_samples=50
    )
    subject = load_subject(spec)
    assert subject.evaluation is not None
    assert subject.calibration is not None
    assert len(subject.evaluation) == 40
    assert len(subject.calibration) == 50
    assert len(subject.calibration.source) == 90
