"""What data sets of users' code give: taken as it is meant, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.records.subject import SubjectSpec
from analysis.subjects.data.loading import load_data
from analysis.subjects.data.split import Split
from analysis.subjects.data.targets import class_number, class_numbers
from analysis.subjects.parsing import parse_data
from analysis.subjects.subject import load_subject
from pruners.errors import InputError

# Labels are the parity of the first column of what a sample is, read slowly below.
SETS = """
import random
import numpy as np, torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset
from torch.utils.data import TensorDataset as T

x = torch.arange(120.0).reshape(30, 4)
y = (x[:, 0].long() // 4) % 2

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))

class Shifted(T):
    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return x + 0.5, 1 - y

class Listed(Dataset):
    samples = ["a", "b"]
    def __init__(self, *parts): self.parts = parts
    def __len__(self): return 30
    def __getitem__(self, i): return tuple(part[i] for part in self.parts)

class Rows(IterableDataset):
    def __len__(self): return 30
    def __iter__(self): return iter([])

class Noisy(Listed):
    def __getitem__(self, i): return x[i] + torch.rand(4), int(y[i])

class Flipped(Listed):
    def __getitem__(self, i): return x[i], random.randrange(2)

class Counted(Listed):
    count = 0
    def __getitem__(self, i):
        self.count += 1
        return x[i] + self.count, int(y[i])

class Lying(Listed):
    def __getitem__(self, i): return [(a, int(b)) for a, b in zip(x[:20], y)][i]

class Broken(Listed):
    def __getitem__(self, i):
        if i > 24: raise OSError(f"image_{i}.png\\nis not there")
        return x[i], int(y[i])

class Objects(Listed):
    def __getitem__(self, i): return np.array([None, i]), 1

subclass = lambda: Shifted(x, y)
part = lambda: Subset(Shifted(x, y), range(30))
joined = lambda: ConcatDataset([Shifted(x[:10], y[:10]), Shifted(x[10:], y[10:])])
attribute = lambda: Listed(x, y)
column = lambda: T(x, y[:, None])
int8, uint8, boolean = (lambda k=k: T(x, y.to(k)) for k in (torch.int8, torch.uint8, torch.bool))
whole = lambda: T(x, y.float())
scalars = lambda: Listed(x.numpy(), y.numpy())
lists = lambda: [[a, b] for a, b in zip(x, y)]

real = lambda: T(x, y + 0.93)
one_hot = lambda: T(x, nn.functional.one_hot(y, 2))
one_hot_listed = lambda: Listed(x, nn.functional.one_hot(y, 2))
real_listed = lambda: Listed(x, y + 0.93)
three = lambda: T(x, torch.ones(30), y)
three_listed = lambda: Listed(x, torch.ones(30), y)
negative = lambda: T(x, y - 1)
dicts = lambda: [{"image": a, "label": b} for a, b in zip(x, y)]
loader = lambda: DataLoader(T(x, y))
rows = lambda: Rows()
pair = lambda: (x, y)
complex_inputs = lambda: T(x.to(torch.complex64), y)
complex_listed = lambda: Listed(x.to(torch.complex64), y)
beyond = lambda: Subset(T(x, y), list(range(28)) + [33])
lying, broken, objects = (lambda k=k: k() for k in (Lying, Broken, Objects))
noisy, flipped, counted = (lambda k=k: k() for k in (Noisy, Flipped, Counted))
"""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sets") / "sets.py"
    path.write_text(SETS, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name",
    [
        *("subclass", "part", "joined", "attribute", "column", "int8", "uint8", "boolean", "whole"),
        *("scalars", "lists"),
    ],
)
def test_samples_are_what_getitem_gives(sets: Path, name: str) -> None:
    """A TensorDataset's subclass was read past its ``__getitem__``; a list named
    ``samples`` was indexed; the slow loop below is what a training script would see.
    """
    source = load_data(parse_data(f"{sets}:{name}")).evaluation
    inputs, labels = source.read(range(30))
    shifted = name in ("subclass", "part", "joined")
    for index in range(30):
        first = 4.0 * index + (0.5 if shifted else 0.0)
        assert inputs[index].tolist() == [first, first + 1, first + 2, first + 3]
        assert labels is not None
        assert int(labels[index]) == (index + shifted) % 2
    assert source.digest(range(30))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("real", r"the target is 0\.93.*, not a class number"),
        ("real_listed", r"the target of sample \d+ is [01]\.93.*, not a class number"),
        ("one_hot", r"the target has shape \(2,\); .* argmax"),
        ("one_hot_listed", r"the target of sample \d+ has shape \(2,\)"),
        ("three", "gives 3 tensors a sample, and nothing says which is the target"),
        ("three_listed", r"sample \d+ has 3 parts, and nothing says which is the target"),
        ("negative", "the target is -1, not a class number"),
        ("dicts", r"sample \d+ is a dict of image, label"),
        ("loader", r"returned a DataLoader; return its \.dataset"),
        ("rows", "only gives samples in a row"),
        ("pair", r"tuple of tensors; return TensorDataset\(inputs, labels\)"),
        ("complex_inputs", "inputs are complex"),
        ("complex_listed", r"sample \d+ is complex"),
        ("noisy", r"sample \d+ is another one each time it is read"),
        ("flipped", r"sample \d+ is another one each time it is read"),
        ("counted", r"sample \d+ is another one each time it is read"),
    ],
)
def test_what_is_no_class_number_is_refused(sets: Path, name: str, says: str) -> None:
    """1.93 was class 1, noise went unsaid."""
    with pytest.raises(InputError, match=says) as caught:
        load_subject(SubjectSpec(model=f"{sets}:model", data=f"{sets}:{name}"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "numbers", "says"),
    [
        ("beyond", {28}, r"IndexError: index 33 is out of bounds.*; its __len__ says 29$"),
        ("lying", set(range(20, 30)), "IndexError: list index out of range; its __len__ says 30$"),
        ("broken", set(range(25, 30)), r"OSError: image_2\d.png$"),
        ("objects", set(range(30)), "TypeError: "),
    ],
)
def test_the_sample_that_raises_is_named(
    sets: Path, name: str, numbers: set[int], says: str
) -> None:
    """Only what was raised was said, not by which sample."""
    spec = SubjectSpec(model=f"{sets}:model", data=f"{sets}:{name}", calibration_samples=0)
    with pytest.raises(InputError, match=says) as caught:
        load_subject(spec)
    text = str(caught.value)
    assert any(text.startswith(f"'{spec.data}': reading sample {at} raised ") for at in numbers)
    assert "\n" not in text


def test_class_numbers_of_any_type() -> None:
    for kind in (torch.uint8, torch.int8, torch.int32, torch.float16, torch.float64):
        assert class_numbers(torch.tensor([[3], [0]], dtype=kind)).tolist() == [3, 0]
    for value in (3, 3.0, np.int8(3), np.float32(3), np.array(3), torch.tensor([3]), True + 2):
        assert class_number(value) == 3
    for value in ("3x", None, -1, 2.5, float("nan"), float("inf"), torch.tensor([1, 2]), 1j):
        with pytest.raises(ValueError, match=r"class number|complex"):
            class_number(value)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.uint64, np.bool_])
def test_labels_of_an_npz_file(tmp_path: Path, kind: type) -> None:
    labels = np.array([1, 0, 1]).astype(kind)
    np.savez(tmp_path / "d.npz", images=np.zeros((3, 4, 4), np.uint8), labels=labels)
    found = load_data(parse_data(f"npz:{tmp_path / 'd.npz'}")).evaluation.read([0, 1, 2])[1]
    assert found is not None
    assert found.tolist() == [1, 0, 1]


def test_rows_and_columns_are_not_taken_for_channels(tmp_path: Path) -> None:
    """Sibling: bytes (N, C, H, W) were read as (N, H, W, C)."""
    np.savez(tmp_path / "d.npz", images=np.zeros((3, 3, 8, 8), np.uint8))
    with pytest.raises(InputError, match=r"images must be uint8 \(N,H,W\[,C\]\)"):
        load_data(parse_data(f"npz:{tmp_path / 'd.npz'}"))


def npz(folder: Path, **arrays: np.ndarray) -> str:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return f"npz:{path}"


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0.0, 1.0, 2.0]),
        np.array([[0], [1], [2]], dtype=np.int16),
        np.array([0, 1, 2], dtype=np.uint32),
        np.array([0, 1, 2], dtype=np.float16),
    ],
    ids=lambda labels: f"{labels.dtype}{labels.shape}",
)
def test_labels_of_a_file_are_taken_as_those_of_code(tmp_path: Path, labels: np.ndarray) -> None:
    """The same class numbers were refused in a file and taken from a data set."""
    address = npz(tmp_path, images=np.zeros((3, 4, 4), np.uint8), labels=labels)
    _, found = load_data(parse_data(address)).evaluation.read([0, 1, 2])
    assert found is not None
    assert found.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.array([0.5, 1.0, 2.0]), r"a label is 0.5, not a class number.*--task regression"),
        (np.array([0.0, np.nan, 2.0]), "a label is nan, not a class number"),
        (np.eye(3), "argmax of one-hot"),
        (
            np.array(["a", "b", "c"]),
            "one a sample: class numbers, or what the task",
        ),
        (np.array([0, 1]), "labels must be 3 targets"),
    ],
)
def test_other_labels_of_a_file_are_refused(tmp_path: Path, labels: np.ndarray, said: str) -> None:
    address = npz(tmp_path, images=np.zeros((3, 4, 4), np.uint8), labels=labels)
    with pytest.raises(InputError, match=said):
        load_data(parse_data(address))


def test_nobody_is_told_to_unpickle(tmp_path: Path) -> None:
    """NumPy's own words advise to load what it cannot read unsafely."""
    path = tmp_path / "junk.npz"
    path.write_text("hello")
    with pytest.raises(InputError, match="not an npz file of plain arrays") as caught:
        load_data(parse_data(f"npz:{path}"))
    assert "pickle" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "said"), [("3", "is '3', not"), (float("nan"), "is nan, not"), (None, "a NoneType")]
)
def test_what_a_target_is_is_said_as_it_is(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        class_number(value)


def test_a_sample_that_is_not_finite_is_named(tmp_path: Path) -> None:
    """Of the first samples, weights, mean and std were blamed."""
    images = np.zeros((40, 1, 28, 28), np.float32)
    images[7, 0, 3, 3] = np.nan
    address = npz(tmp_path, images=images, labels=np.arange(40) % 10)
    spec = SubjectSpec(model="sample:lenet5", data=address, calibration_samples=0)
    with pytest.raises(InputError, match="sample 7 holds numbers that are not finite"):
        load_subject(spec)


def test_a_sample_of_large_data_that_is_not_finite_is_named(tmp_path: Path) -> None:
    """Found by newcomers: one beyond those probed was found in mid-sweep, or not at all."""
    images = np.zeros((40, 1, 28, 28), np.float32)
    images[33] = np.inf
    address = npz(tmp_path, images=images, labels=np.arange(40) % 10)
    source = load_data(parse_data(address)).evaluation
    with pytest.raises(InputError, match="sample 33 holds numbers that are not finite"):
        Split(source, range(40), form=(10,)).preload()
    large = Split(source, range(40), form=(10,), preload_bytes=0)
    large.part(0, 32)
    with pytest.raises(InputError, match="sample 33 holds numbers that are not finite"):
        large.part(32, 40)


def test_no_targets_at_all_are_no_reason_to_stumble() -> None:
    assert class_numbers(torch.zeros(0, 1)).tolist() == []
    with pytest.raises(ValueError, match="argmax"):
        class_numbers(torch.zeros(0, 3))
