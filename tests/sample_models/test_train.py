"""The training command: augmentation, repeatability, what it writes."""

from __future__ import annotations

import dataclasses
import gzip
import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch

from sample_models.architectures import ARCHITECTURES
from sample_models.fashion_mnist import normalize, read_raw
from sample_models.tools import materials, train
from sample_models.tools.recipes import RECIPES


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """64 training images in the original format: class 1 is brighter in the middle."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(64) % 2
    pictures = torch.randint(0, 60, (64, 28, 28), generator=generator)
    pictures[labels == 1, 10:18] += 150
    for kind, rank, values in (
        ("images", 3, pictures.to(torch.uint8)),
        ("labels", 1, labels.to(torch.uint8)),
    ):
        head = struct.pack(f">HBB{rank}I", 0, 8, rank, *values.shape)
        path = tmp_path / f"train-{kind}-idx{rank}-ubyte.gz"
        path.write_bytes(gzip.compress(head + values.numpy().tobytes()))
    return tmp_path


def test_every_architecture_has_a_recipe() -> None:
    assert set(RECIPES) == set(ARCHITECTURES)


def test_augment_shifts_and_mirrors() -> None:
    images = torch.zeros(200, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 10, 5] = 255
    out = materials.augment(images, shift=2, generator=torch.Generator().manual_seed(0))
    assert out.shape == images.shape
    assert out.dtype == torch.uint8
    assert torch.equal(out.sum((1, 2, 3)), images.sum((1, 2, 3)))
    _, _, rows, columns = out.nonzero(as_tuple=True)
    assert set(rows.tolist()) == set(range(8, 13))
    assert set(columns.tolist()) == set(range(3, 8)) | set(range(20, 25))


def test_augment_without_shift_gives_the_image_or_its_mirror_image() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, 1, 28, 28), generator=generator).to(torch.uint8)
    out = materials.augment(images, shift=0, generator=generator)
    for image, changed in zip(images, out, strict=True):
        assert torch.equal(changed, image) or torch.equal(changed, image.flip(2))


def test_training_learns_and_repeats(data_dir: Path) -> None:
    recipe = dataclasses.replace(RECIPES["lenet5"], epochs=12, batch_size=16, bf16=False)
    first = train.train("lenet5", recipe=recipe, data_dir=data_dir, seed=5)
    second = train.train("lenet5", recipe=recipe, data_dir=data_dir, seed=5)
    weights = second.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in first.state_dict().items())
    images, labels = read_raw(data_dir, split="train")
    assert (first(normalize(images)).argmax(1) == labels).float().mean() > 0.95
    assert not first.training


def test_command_writes_weights_that_load(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = dataclasses.replace(RECIPES["resnet20"], batch_size=16)
    monkeypatch.setitem(RECIPES, "resnet20", recipe)
    threads = torch.get_num_threads()
    out = tmp_path / "out" / "resnet20.safetensors"
    command = ["resnet20", "--data-dir", str(data_dir), "--epochs", "1", "--out", str(out)]
    try:
        assert train.main(command) == 0
    finally:
        torch.set_num_threads(threads)
    ARCHITECTURES["resnet20"]().load_state_dict(safetensors.torch.load_file(out))


def test_missing_data_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    try:
        assert train.main(["lenet5", "--data-dir", str(tmp_path)]) == 2
    finally:
        torch.set_num_threads(threads)
    assert capsys.readouterr().err.count("\n") == 1
