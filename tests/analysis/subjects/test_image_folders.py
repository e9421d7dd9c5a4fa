"""Image folders: which files count as what, and their content, against NumPy and Pillow."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from analysis.records.subject import SubjectSpec
from analysis.subjects.data.loading import load_data
from analysis.subjects.parsing import parse_data
from analysis.subjects.subject import Subject, load_subject
from pruners.errors import AddressError, InputError

COLOURS = {"bird": (200, 60, 60), "cat": (60, 200, 60), "dog": (60, 60, 200), "fish": (90, 90, 90)}
# Nearest colour: every picture is classified rightly when labels are bird 0, cat 1, dog 2, fish 3.
MODEL = """
import torch
from torch import nn

class Nearest(nn.Module):
    def __init__(self, colours):
        super().__init__()
        self.mix = nn.Conv2d(3, 3, 1)
        self.head = nn.Linear(3, len(colours))
        colours = torch.tensor(colours) / 255
        with torch.no_grad():
            self.mix.weight.copy_(torch.eye(3)[:, :, None, None])
            self.mix.bias.zero_()
            self.head.weight.copy_(2 * colours)
            self.head.bias.copy_(-(colours ** 2).sum(1))
    def forward(self, x):
        return self.head(self.mix(x).mean((2, 3)))

def build():
    return Nearest([(200., 60, 60), (60, 200., 60), (60, 60, 200.), (90., 90, 90)])

def two():
    return Nearest([(200., 60, 60), (60, 200., 60)])
"""


def write_folder(
    folder: Path, *, classes: tuple[str, ...] = tuple(COLOURS), count: int = 4
) -> Path:
    for kind in classes:
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            image = Image.new("RGB", (12, 12), COLOURS[kind])
            image.save(folder / kind / f"{number}.png")
    return folder


def opened(folder: Path, model: str = "build", **options: object) -> Subject:
    path = folder.parent / "model.py"
    path.write_text(MODEL, encoding="utf-8")
    spec = SubjectSpec(
        model=f"{path}:{model}", data=f"imagefolder:{folder}#size=8", calibration_samples=0
    )
    return load_subject(spec, **options)  # type: ignore[arg-type]


def right(subject: Subject) -> tuple[int, int]:
    """Count right answers, sample by sample."""
    assert subject.evaluation is not None
    count = 0
    for index in subject.evaluation.indices:
        inputs, labels = subject.evaluation.source.read([index])
        assert labels is not None
        count += int(subject.model(inputs).argmax(1)) == int(labels[0])
    return count, len(subject.evaluation)


def test_all_pictures_are_right(tmp_path: Path) -> None:
    assert right(opened(write_folder(tmp_path / "d"))) == (16, 16)


def test_a_class_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    """Without cats, dogs and fish had the labels of cats and dogs, and no word."""
    folder = write_folder(tmp_path / "d", classes=("bird", "dog", "fish"))
    with pytest.raises(InputError, match=r"3 class folders \(bird, dog, fish\) stand against 4"):
        opened(folder)
    (folder / "cat").mkdir()
    assert right(opened(folder)) == (12, 12)


@pytest.mark.parametrize(
    ("classes", "model"), [(tuple(COLOURS), "build"), (("bird", "cat"), "two")]
)
def test_the_parent_of_train_and_val_is_refused(
    tmp_path: Path, classes: tuple[str, ...], model: str
) -> None:
    """With two classes, even the number of folders is right."""
    for part in ("train", "val"):
        write_folder(tmp_path / "d" / part, classes=classes)
    with pytest.raises(InputError, match="train and val, which look like parts of a data set"):
        opened(tmp_path / "d", model)


def test_what_is_no_picture_of_a_class_is_left_out_and_said(tmp_path: Path) -> None:
    """A hidden folder was class 4; a pipe was waited for."""
    folder = write_folder(tmp_path / "d")
    for place in (folder / ".ipynb_checkpoints", folder / "cat" / ".cache", folder / "__MACOSX"):
        place.mkdir()
        Image.new("RGB", (9, 9)).save(place / "0.png")
    (folder / "cat" / "._0.png").write_bytes(b"\0\5")
    (folder / "cat" / "notes.txt").write_text("x", encoding="utf-8")
    (folder / "dog.png").mkdir()
    (folder / "dog.png").rmdir()
    os.mkfifo(folder / "dog" / "pipe.png")
    subject = opened(folder)
    assert right(subject) == (16, 16)
    said = " ".join(subject.notes)
    for name in (".ipynb_checkpoints", "cat/.cache", "__MACOSX", "dog/pipe.png", "1 file of other"):
        assert name in said


def test_damaged_files_and_links_to_nothing_are_named(tmp_path: Path) -> None:
    """`OSError: image file is truncated` did not say which."""
    folder = write_folder(tmp_path / "d")
    path = folder / "dog" / "3.png"
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"dog/3\.png cannot be read as an image: OSError"):
        opened(folder)
    path.unlink()
    path.symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"dog/3\.png cannot be read: FileNotFoundError"):
        opened(folder)


def test_links_out_of_the_roots_are_refused(tmp_path: Path) -> None:
    """Folders and files were followed out of what a server allows."""
    outside = write_folder(tmp_path / "outside")
    folder = write_folder(tmp_path / "in" / "d")
    assert right(opened(folder, roots=[tmp_path / "in"])) == (16, 16)
    for link, target in (
        (folder / "cat" / "9.png", outside / "cat" / "0.png"),
        (folder / "cat" / "more", outside / "cat"),
        (folder / "zebra", outside / "cat"),
    ):
        link.symlink_to(target)
        with pytest.raises(AddressError, match="outside of the folders"):
            opened(folder, roots=[tmp_path / "in"])
        link.unlink()
    (folder / "round").symlink_to(folder)
    with pytest.raises(AddressError, match="circle of links"):
        opened(folder)
    root = tmp_path / "in" / "mnist"
    root.mkdir()
    (root / "MNIST").symlink_to(outside)
    with pytest.raises(AddressError, match="outside of the folders"):
        load_data(parse_data(f"torchvision:MNIST#root={root}"), roots=[tmp_path / "in"])
    with pytest.raises(AddressError, match="write imagefolder:"):
        load_data(parse_data(f"torchvision:ImageFolder#root={folder}"))


VALUES = np.arange(64, dtype=np.float64).reshape(8, 8) / 63


def expected(name: str) -> np.ndarray:
    """Return what a picture shows, in 0..1, by the format's own rule."""
    bits = {"deep.png": 65535, "deep.tif": 65535, "deep.pgm": 65535}.get(name, 255)
    whole = np.round(VALUES * bits) / bits
    return np.round(VALUES) if name == "one_bit.png" else whole


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "name",
    [
        *("grey.png", "deep.png", "deep.tif", "deep.pgm", "one_bit.png", "palette.png"),
        *("palette_clear.png", "rgba.png", "grey_alpha.png", "rgb.bmp", "cmyk.tif"),
    ],
)
def test_every_mode_shows_the_same_picture(tmp_path: Path, name: str, channels: int) -> None:
    """Grey with 16 bits was white, every picture of it."""
    folder = tmp_path / "d" / "only"
    folder.mkdir(parents=True)
    grey = Image.fromarray(np.round(VALUES * 255).astype(np.uint8))
    deep = Image.fromarray(np.round(VALUES * 65535).astype(np.uint16))
    path = folder / name
    if name.startswith("deep"):
        deep.save(path)
    elif name == "one_bit.png":
        Image.fromarray(VALUES >= 0.5).save(path)
    elif name == "cmyk.tif":
        black = np.zeros((8, 8, 4), np.uint8)
        black[..., 3] = 255 - np.array(grey)
        Image.fromarray(black, mode="CMYK").save(path)
    else:
        modes = {"palette.png": "P", "rgba.png": "RGBA", "grey_alpha.png": "LA", "rgb.bmp": "RGB"}
        image = grey.convert(modes.get(name, "L"))
        if name == "palette_clear.png":
            image = grey.convert("P")
            image.save(path, transparency=bytes([0] * 256))
        else:
            image.save(path)
    source = load_data(
        parse_data(f"imagefolder:{tmp_path / 'd'}#size=8&resize=8&channels={channels}")
    )
    inputs, _ = source.evaluation.read([0])
    assert inputs.shape == (1, channels, 8, 8)
    want = torch.from_numpy(expected(name)).float().expand(1, channels, 8, 8)
    # Luminance is rounded to whole numbers.
    assert torch.allclose(inputs, want, atol=0.6 / 255 if channels == 1 else 1e-6)


def test_what_has_no_known_white_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d" / "only").mkdir(parents=True)
    for kind in (np.float32, np.int32):
        Image.fromarray(VALUES.astype(kind)).save(tmp_path / "d" / "only" / "x.tif")
        source = load_data(parse_data(f"imagefolder:{tmp_path / 'd'}#size=8")).evaluation
        with pytest.raises(
            AddressError, match=r"only/x\.tif .* nothing says which number is white"
        ):
            source.read([0])


@pytest.mark.parametrize(
    ("options", "says"),
    [("channels=2", "channels is 1"), ("channels=1&mean=1,2,3", "3 numbers for 1 channels")],
)
def test_channels_that_make_no_sense(tmp_path: Path, options: str, says: str) -> None:
    folder = write_folder(tmp_path / "d")
    with pytest.raises(AddressError, match=says):
        load_data(parse_data(f"imagefolder:{folder}#{options}"))


def test_resizing_is_that_of_torchvision(tmp_path: Path) -> None:
    """Against torchvision's own folder and transforms, which models are trained with."""
    from analysis.subjects import torchvision

    vision = torchvision()
    folder = tmp_path / "d" / "only"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(1).integers(0, 255, (50, 37, 3), np.uint8)
    Image.fromarray(noise).save(folder / "0.png")
    transforms = vision.transforms
    steps = [transforms.Resize(20), transforms.CenterCrop(16), transforms.ToTensor()]
    steps.append(transforms.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]))
    theirs = vision.datasets.ImageFolder(str(tmp_path / "d"), transforms.Compose(steps))[0][0]
    text = f"imagefolder:{tmp_path / 'd'}#size=16&resize=20&mean=0.5,0.4,0.3&std=0.2,0.3,0.4"
    assert torch.equal(load_data(parse_data(text)).evaluation.read([0])[0][0], theirs)


@pytest.mark.parametrize(
    ("sides", "options", "steps"),
    [
        ((16, 16), "size=16", ()),
        ((16, 16), "size=16&resize=18", (18, 16)),
        ((16, 15), "size=16", (18, 16)),
        ((18, 18), "size=16", (18, 16)),
    ],
)
def test_an_image_of_the_size_stays_as_it_is(
    tmp_path: Path, sides: tuple[int, int], options: str, steps: tuple[int, ...]
) -> None:
    """Enlarged by 1 / 0.875 and cropped it would lose its margin, and answers with it."""
    from analysis.subjects import torchvision

    folder = tmp_path / "d" / "only"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(1).integers(0, 255, (*sides, 3), np.uint8)
    image = Image.fromarray(noise)
    image.save(folder / "0.png")
    transforms = torchvision().transforms
    if steps:
        image = transforms.CenterCrop(steps[1])(transforms.Resize(steps[0])(image))
    expected = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    found = load_data(parse_data(f"imagefolder:{tmp_path / 'd'}#{options}")).evaluation
    assert torch.equal(found.read([0])[0][0], expected)
