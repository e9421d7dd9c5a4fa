from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from analysis.subjects.data.datasets import LoadedData
from analysis.subjects.data.loading import load_data
from analysis.subjects.data.sources import Source
from analysis.subjects.parsing import parse_data
from pruners.errors import AddressError

FACTORIES = "tests.helpers.tiny_factories"


def load(text: str, **options: object) -> LoadedData:
    return load_data(parse_data(text), **options)  # type: ignore[arg-type]


def read(source: Source, *indices: int) -> tuple[torch.Tensor, list[int] | None]:
    inputs, labels = source.read(indices)
    return inputs, None if labels is None else labels.tolist()


def test_fashion_mnist_has_a_calibration_set_of_its_own() -> None:
    data = load("sample:fashion-mnist")
    assert data.calibration is not None
    assert (len(data.evaluation), len(data.calibration)) == (10_000, 2_000)
    assert len(data.evaluation.class_names) == 10
    inputs, labels = read(data.evaluation, 0, 7)
    assert inputs.shape == (2, 1, 28, 28)
    assert inputs.dtype == torch.float32
    assert labels is not None


def test_keywords_are_sounds_in_noise_with_a_calibration_set_of_their_own() -> None:
    data = load("sample:keywords")
    assert data.calibration is not None
    assert (len(data.evaluation), len(data.calibration)) == (1040, 400)
    assert data.evaluation.class_names[:2] == ("yes", "no")
    inputs, labels = data.evaluation.read(range(1040))
    assert inputs.shape == (1040, 1, 8000)
    assert inputs.abs().max() <= 1
    assert labels is not None
    assert labels.bincount().tolist() == [104] * 10
    # The words lie at different places of their second.
    assert inputs[:, 0].abs().argmax(1).float().std() > 1000


class TestNpz:
    def save(self, path: Path, **arrays: np.ndarray) -> str:
        np.savez(path / "d.npz", **arrays)
        return f"npz:{path / 'd.npz'}"

    def test_grey_bytes_are_scaled_and_normalised(self, tmp_path: Path) -> None:
        images = np.full((3, 4, 5), 255, np.uint8)
        text = self.save(tmp_path, images=images, labels=np.array([2, 0, 1]))
        inputs, labels = read(load(text + "#mean=0.5&std=0.25").evaluation, 2, 0)
        assert torch.equal(inputs, torch.full((2, 1, 4, 5), 2.0))
        assert labels == [1, 2]

    def test_colour_bytes_become_channels_first(self, tmp_path: Path) -> None:
        images = np.zeros((2, 4, 5, 3), np.uint8)
        images[..., 1] = 51
        inputs, labels = read(load(self.save(tmp_path, images=images)).evaluation, 0)
        assert inputs.shape == (1, 3, 4, 5)
        assert inputs[0, :, 0, 0].tolist() == pytest.approx([0, 0.2, 0])
        assert labels is None

    def test_floats_are_taken_as_they_are(self, tmp_path: Path) -> None:
        images = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
        text = self.save(tmp_path, images=images)
        inputs, _ = read(load(text).evaluation, 0, 1)
        assert torch.equal(inputs, torch.from_numpy(images).float())
        shifted, _ = read(load(text + "#mean=1,2,3&std=2").evaluation, 1)
        mean = torch.tensor([1.0, 2, 3])[:, None, None]
        assert torch.equal(shifted[0], (inputs[1] - mean) / 2)

    @pytest.mark.parametrize(
        ("arrays", "options", "says"),
        [
            ({"x": np.zeros(3)}, "", "no array 'images' in the file; found x"),
            ({"x": np.zeros(3)}, "", r"found x$"),
            ({"images": np.zeros((2, 3), np.uint8)}, "", r"must be uint8.*uint8 \(2, 3\); where"),
            ({"stream": np.zeros(9, np.uint16)}, "", "found stream; where these are numbers of"),
            ({"labels": np.zeros(9, int)}, "", "found labels$"),
            ({"images": np.zeros((2, 3, 4), int)}, "", r"int64 \(2, 3, 4\)$"),
            ({"images": np.zeros((2, 3), np.int64)}, "", r"int64 \(2, 3\); where .* text:FILE#tok"),
            ({"ids": np.zeros((2, 3), np.int32)}, "", r"found ids; where .* TensorDataset\(tokens"),
            (
                {"images": np.zeros((2, 4, 4), np.uint8), "labels": np.zeros(3, int)},
                "",
                "labels must be 2 targets",
            ),
            (
                {"images": np.zeros((2, 4, 4), np.uint8), "labels": np.full(2, 0.5)},
                "",
                "a label is 0.5, not a class number",
            ),
            ({"images": np.zeros((2, 4, 4), np.uint8)}, "#mean=1,2", "2 numbers for 1 channels"),
            ({"images": np.zeros((2, 4, 4), np.uint8)}, "#std=0", "std must not be 0"),
            ({"images": np.zeros((0, 4, 4), np.uint8)}, "", "is empty"),
            ({"images": np.array([{}, {}], object)}, "", "not an npz file of plain arrays"),
        ],
    )
    def test_what_is_wrong_is_one_line(
        self, tmp_path: Path, arrays: dict[str, np.ndarray], options: str, says: str
    ) -> None:
        with pytest.raises(AddressError, match=says):
            load(self.save(tmp_path, **arrays) + options)

    def test_missing_and_foreign_files(self, tmp_path: Path) -> None:
        with pytest.raises(AddressError, match="there is no file"):
            load(f"npz:{tmp_path / 'no.npz'}")
        (tmp_path / "text.npz").write_text("hello", encoding="utf-8")
        with pytest.raises(AddressError, match="not an npz file"):
            load(f"npz:{tmp_path / 'text.npz'}")

    def test_roots_hold(self, tmp_path: Path) -> None:
        text = self.save(tmp_path, images=np.zeros((2, 4, 4), np.uint8))
        assert load(text, roots=[tmp_path])
        with pytest.raises(AddressError, match="outside of the folders"):
            load(text, roots=[tmp_path / "other"])


class TestImageFolder:
    def save(self, folder: Path) -> None:
        for label, name in enumerate(("cat", "dog")):
            (folder / name).mkdir(parents=True)
            for number in range(3):
                image = Image.new("RGB", (40 + number, 30), (100 * label, 50, 0))
                image.save(folder / name / f"{number}.png")

    def test_images_are_cropped_to_one_size(self, tmp_path: Path) -> None:
        self.save(tmp_path)
        source = load(f"imagefolder:{tmp_path}#size=16&mean=0,0,0&std=0.5,0.5,0.5").evaluation
        assert source.class_names == ("cat", "dog")
        inputs, labels = read(source, 0, 5)
        assert inputs.shape == (2, 3, 16, 16)
        assert labels == [0, 1]
        assert inputs[1, :, 8, 8].tolist() == pytest.approx([200 / 255, 100 / 255, 0])

    def test_no_folder_and_no_images(self, tmp_path: Path) -> None:
        with pytest.raises(AddressError, match="there is no folder"):
            load(f"imagefolder:{tmp_path / 'no'}")
        with pytest.raises(AddressError, match="FileNotFoundError"):
            load(f"imagefolder:{tmp_path}")


class TestTorchvision:
    def test_fake_data_by_root(self, tmp_path: Path) -> None:
        for name in ("train", "test"):
            (tmp_path / "FashionMNIST" / "raw").mkdir(parents=True, exist_ok=True)
            prefix = "t10k" if name == "test" else "train"
            raw = tmp_path / "FashionMNIST" / "raw"
            images = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28])
            images += bytes(number % 251 for number in range(2 * 784))
            (raw / f"{prefix}-images-idx3-ubyte").write_bytes(images)
            labels = bytes([0, 0, 8, 1, 0, 0, 0, 2, 3, 9])
            (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(labels)
        source = load(f"torchvision:FashionMNIST#root={tmp_path}").evaluation
        inputs, labels_read = read(source, 1)
        assert inputs.shape == (1, 1, 28, 28)
        assert labels_read == [9]
        sized = load(f"torchvision:FashionMNIST#root={tmp_path}&size=28").evaluation
        assert torch.equal(read(sized, 1)[0], inputs)

    @pytest.mark.parametrize(
        ("name", "says"), [("NoSuchSet", "unknown torchvision data set"), ("CIFAR10", "not found")]
    )
    def test_what_is_missing_is_named(self, tmp_path: Path, name: str, says: str) -> None:
        with pytest.raises(AddressError, match=says):
            load(f"torchvision:{name}#root={tmp_path}")

    def test_nothing_is_downloaded_into_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(AddressError, match="there is no folder"):
            load(f"torchvision:CIFAR10#root={tmp_path / 'no'}")


class TestFactories:
    def test_pairs(self) -> None:
        inputs, labels = read(load(f"{FACTORIES}:pairs").evaluation, 4, 2)
        assert inputs[:, 0].tolist() == [4.0, 2.0]
        assert labels == [1, 2]

    def test_tensor_data_set(self) -> None:
        inputs, labels = read(load(f"{FACTORIES}:vectors").evaluation, 0)
        assert inputs.shape == (1, 6)
        assert labels is not None

    def test_inputs_without_labels(self) -> None:
        assert read(load(f"{FACTORIES}:unlabelled").evaluation, 0)[1] is None

    def test_class_names(self) -> None:
        assert load(f"{FACTORIES}:broken").evaluation.class_names == ("a", "b", "c")

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("empty", "the data set is empty"),
            ("not_a_data_set", "map-style data set"),
        ],
    )
    def test_nonsense_is_refused(self, name: str, says: str) -> None:
        with pytest.raises(AddressError, match=says):
            load(f"{FACTORIES}:{name}")

    @pytest.mark.parametrize(
        ("name", "says"),
        [("text_targets", "not a class number"), ("ragged", "differ in shape")],
    )
    def test_samples_that_make_no_sense(self, name: str, says: str) -> None:
        with pytest.raises(AddressError, match=says):
            load(f"{FACTORIES}:{name}").evaluation.read(range(10))


@pytest.mark.parametrize("name", ["pairs", "vectors"])
def test_the_digest_follows_content_and_choice(name: str) -> None:
    source = load(f"{FACTORIES}:{name}").evaluation
    again = load(f"{FACTORIES}:{name}").evaluation
    assert source.digest([0, 1, 2]) == again.digest([0, 1, 2])
    assert source.digest([0, 1, 2]) != source.digest([0, 1, 3])
