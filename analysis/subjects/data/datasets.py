"""Open what data addresses name: one function a scheme."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

import sample_models
from analysis.subjects.address import Address
from analysis.subjects.allowed_paths import Roots, check_links, check_path, missing
from analysis.subjects.data.images import FileSource, ImageSet, find_images
from analysis.subjects.data.npz import open_npz
from analysis.subjects.data.sources import ArraySource, MapSource, Source, as_given
from analysis.subjects.data.text import open_text
from analysis.subjects.factories import call_factory
from analysis.subjects.torchvision_import import torchvision
from pruners.errors import AddressError, first_line, one_line

# The usual evaluation transform of ImageNet models: the crop is 87.5 % of the shorter side.
CROP_SHARE = 0.875
DEFAULT_SIZE = 224
_FEW = (
    "2,000 of the 60,000 training images of Fashion-MNIST come with PruneScope; "
    "fashion-mnist:FOLDER reads all of them.",
)


@dataclass(frozen=True, slots=True, eq=False)
class LoadedData:
    """An opened data set.

    Attributes:
        evaluation: Where the evaluation subset comes from.
        calibration: A set of its own for calibration; None to take samples of ``evaluation``
            that are not evaluated.
    """

    evaluation: Source
    calibration: Source | None = None


def open_sample(address: Address, roots: Roots) -> LoadedData:
    """Open data that come with PruneScope."""
    found = _known_sample(address)
    try:
        return LoadedData(*(_shipped(address, found, split) for split in sample_models.SPLITS))
    except sample_models.CorruptFileError as error:
        raise AddressError(str(error)) from None


def _shipped(
    address: Address, found: sample_models.DataSet, split: sample_models.Split
) -> ArraySource:
    is_few = found.name == "fashion-mnist" and split == "calibration"
    documents = None if found.documents is None else found.documents(split)
    samples = found.load(split)
    return _sample(address, found, samples, notes=_FEW if is_few else (), documents=documents)


def sample_task(address: Address) -> str:
    """Return what models answer about data that come with PruneScope."""
    return _known_sample(address).task


def _known_sample(address: Address) -> sample_models.DataSet:
    found = sample_models.DATA_SETS.get(address.name)
    if found is None:
        known = ", ".join(sample_sets())
        raise AddressError(f"unknown sample data {address.name!r}; known: {known}")
    return found


def sample_sets() -> tuple[str, ...]:
    """Return the names of the data that come with PruneScope."""
    return tuple(sample_models.DATA_SETS)


def open_fashion_mnist(address: Address, roots: Roots) -> LoadedData:
    """Open the original files of Fashion-MNIST in a folder: compressed or not, see `raw_files`."""
    parts: dict[str | None, tuple[Literal["train", "test"], ...]] = {
        None: ("test", "train"),
        "train": ("train",),
        "test": ("test",),
    }
    split = address.options.get("split")
    if split not in parts:
        raise AddressError(f"{address.text!r}: split is train or test, found {split!r}")
    folder = check_path(Path(address.name), roots=roots)
    if not folder.is_dir():
        raise AddressError(f"{address.text!r}: {missing(Path(address.name), kind='folder')}")
    return LoadedData(*(_original(address, folder, part, roots) for part in parts[split]))


def _original(
    address: Address, folder: Path, split: Literal["train", "test"], roots: Roots
) -> ArraySource:
    try:
        for file in sample_models.raw_files(folder, split=split):
            check_path(file, roots=roots)
        found = sample_models.DATA_SETS["fashion-mnist"]
        return _sample(address, found, sample_models.read_raw(folder, split=split))
    except AddressError:
        raise
    except (OSError, ValueError) as error:
        raise AddressError(f"{address.text!r}: {first_line(error)}") from None


def _sample(
    address: Address,
    found: sample_models.DataSet,
    samples: tuple[Tensor, Tensor],
    *,
    notes: tuple[str, ...] = (),
    documents: Tensor | None = None,
) -> ArraySource:
    inputs, targets = samples
    return ArraySource(
        address.text,
        inputs=inputs,
        labels=targets,
        prepare=found.prepare,
        class_names=found.class_names,
        recipe=found.recipe,
        has_pixels=found.has_pixels,
        notes=notes,
        documents=documents,
        token_bytes=None if found.token_bytes is None else found.token_bytes(),
    )


def open_npz_file(address: Address, roots: Roots) -> LoadedData:
    """Open a NumPy file."""
    return LoadedData(open_npz(address, roots=roots))


def open_text_file(address: Address, roots: Roots) -> LoadedData:
    """Open a text."""
    return LoadedData(open_text(address, roots=roots))


def open_imagefolder(address: Address, roots: Roots) -> LoadedData:
    """Open a folder with one folder of images a class."""
    folder = check_path(Path(address.name), roots=roots)
    if not folder.is_dir():
        raise AddressError(f"{address.text!r}: {missing(Path(address.name), kind='folder')}")
    channels = address.number("channels") or 3
    if channels not in (1, 3):
        raise AddressError(f"{address.text!r}: channels is 1 (grey) or 3, found {channels}")
    found = find_images(folder, name=address.text, roots=roots)
    transforms = torchvision().transforms
    steps = _geometry(address, size=address.number("size") or DEFAULT_SIZE)
    dataset = ImageSet(
        found,
        root=folder,
        channels=channels,
        before=transforms.Compose(steps),
        after=transforms.Compose(_normalization(address, channels=channels)),
    )
    source = FileSource(
        address.text,
        dataset,
        files=found.files,
        recipe=_recipe(address),
        notes=found.notes,
        blank=_blank(_normalization(address, channels=channels)),
    )
    return LoadedData(source)


def open_torchvision(address: Address, roots: Roots) -> LoadedData:
    """Open a torchvision data set on disk."""
    root = check_path(address.path("root") or Path(), roots=roots)
    datasets = torchvision().datasets
    kind = getattr(datasets, address.name, None)
    if address.name.startswith("_") or not isinstance(kind, type):
        raise AddressError(f"unknown torchvision data set {address.name!r}")
    if not root.is_dir():
        raise AddressError(f"{address.text!r}: {missing(root, kind='folder')}")
    if kind is datasets.ImageFolder:
        raise AddressError(f"{address.text!r}: write imagefolder:{root}, with the same options")
    check_links(root, roots=roots)
    options = _split_options(address, kind)
    transforms = torchvision().transforms
    steps = _geometry(address, size=address.number("size"))
    steps += [transforms.ToTensor(), *_normalization(address)]
    try:
        dataset = kind(str(root), transform=transforms.Compose(steps), **options)
    except Exception as error:
        raise AddressError(f"{address.text!r}: {one_line(error)}") from None
    blank = _blank(_normalization(address))
    if isinstance(dataset, datasets.DatasetFolder):
        recipe = f"{_recipe(address)}|{options}"
        files = dataset.samples
        source = FileSource(address.text, dataset, files=files, recipe=recipe, blank=blank)
        return LoadedData(source)
    return LoadedData(MapSource(address.text, dataset, blank=blank))


def torchvision_sets() -> tuple[str, ...]:
    """Return the names of torchvision's data sets that lie below a root of their own."""
    datasets = torchvision().datasets
    found = []
    for name in datasets.__all__:
        kind = getattr(datasets, name)
        parameters = inspect.signature(kind).parameters
        if next(iter(parameters), "") == "root" and {"train", "split"} & set(parameters):
            found.append(name)
    return tuple(found)


def _split_options(address: Address, kind: type) -> dict[str, Any]:
    """Choose the part that was held out: data sets say ``train=False`` or ``split="test"``."""
    parameters = inspect.signature(kind).parameters
    split = address.options.get("split")
    if "train" in parameters:
        if split not in (None, "train", "test"):
            raise AddressError(f"{address.text!r}: split is train or test, found {split!r}")
        return {"train": split == "train"}
    if "split" in parameters:
        default = "val" if address.name in ("ImageNet", "Places365") else "test"
        return {"split": split or default}
    return {}


def _recipe(address: Address) -> str:
    """Return how files become inputs, as a part of the fingerprint."""
    names = ("size", "resize", "mean", "std", "channels")
    options = [(name, address.options.get(name)) for name in names]
    return f"{address.scheme}|{options}|those of the size as they are"


def _geometry(address: Address, *, size: int | None) -> list[Any]:
    if size is None:
        return []
    return [_Square(size, address.number("resize"))]


class _Square:
    """Resizes the shorter side of an image and crops the centre.

    An image that has the size already stays as it is, unless ``resize`` is given: it would be
    enlarged and lose its margin, while networks for such images are trained on all of them.
    """

    def __init__(self, size: int, resize: int | None) -> None:
        transforms = torchvision().transforms
        steps = [transforms.Resize(resize or round(size / CROP_SHARE)), transforms.CenterCrop(size)]
        self._size, self._is_told = size, resize is not None
        self._change = transforms.Compose(steps)

    def __call__(self, image: Any) -> Any:
        _, *sides = torchvision().transforms.functional.get_dimensions(image)
        fits = not self._is_told and sides == [self._size] * 2
        return image if fits else self._change(image)


def _normalization(address: Address, *, channels: int | None = None) -> list[Any]:
    mean, std = address.numbers("mean"), address.numbers("std")
    if std is not None and not torch.tensor(std).all():
        raise AddressError(f"{address.text!r}: std must not be 0")
    if mean is None and std is None:
        return []
    # One number of the two given stands for all channels of the other.
    width = max(len(mean or ()), len(std or ()))
    if channels is not None and width not in (1, channels):
        raise AddressError(
            f"{address.text!r}: mean and std have {width} numbers for {channels} channels"
        )
    normalize = torchvision().transforms.Normalize
    return [normalize(_spread(mean, 0.0, width), _spread(std, 1.0, width))]


def _blank(normalization: list[Any]) -> Tensor:
    """Return what a pixel of zeros becomes, ``(channels, 1, 1)``; one channel may stand for all."""
    channels = len(normalization[0].mean) if normalization else 1
    pixel = torch.zeros(channels, 1, 1)
    return normalization[0](pixel) if normalization else pixel


def _spread(values: tuple[float, ...] | None, default: float, width: int) -> list[float]:
    given = list(values or (default,))
    return given * width if len(given) == 1 else given


def open_by_factory(address: Address, roots: Roots) -> LoadedData:
    """Open the data set that a function of the user returns."""
    found = call_factory(address, roots=roots)
    # A subclass gives what its own code makes of the tensors; names and documents are asked for.
    if type(found) is TensorDataset and found.tensors and vars(found).keys() == {"tensors"}:
        return LoadedData(_tensors(address, *found.tensors))
    return LoadedData(MapSource(address.text, found))


def _tensors(address: Address, inputs: Tensor, *more: Tensor) -> ArraySource:
    if len(more) > 1:
        raise AddressError(
            f"{address.text!r}: the data set gives {len(more) + 1} tensors a sample, and nothing "
            "says which is the target; a data set gives (input, target)"
        )
    if inputs.is_complex():
        raise AddressError(f"{address.text!r}: inputs are complex; real numbers are needed")
    return ArraySource(
        address.text,
        inputs=inputs.detach(),
        labels=more[0] if more else None,
        prepare=as_given,
    )
