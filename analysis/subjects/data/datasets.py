"""Open the data set that an address names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import sample_models
from analysis.subjects.address import Address
from analysis.subjects.allowed_paths import Roots, check_path, missing
from analysis.subjects.data.npz import open_npz
from analysis.subjects.data.sources import ArraySource, MapSource, Source
from analysis.subjects.factories import call_factory
from analysis.subjects.schemes import DATA_SCHEMES
from analysis.subjects.torchvision_import import torchvision
from pruners.errors import AddressError, one_line

# The usual evaluation transform of ImageNet models: the crop is 87.5 % of the shorter side.
CROP_SHARE = 0.875
DEFAULT_SIZE = 224
SAMPLE_IMAGES = "fashion-mnist"


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


def load_data(address: Address, *, roots: Roots = None) -> LoadedData:
    """Open a data set.

    Args:
        address: Parsed data address.
        roots: Allowed folders; None allows everything.

    Raises:
        AddressError: What the address names is missing, raises, or is not a data set.
    """
    data = DATA_SCHEMES.get(address.scheme).open(address, roots)
    if len(data.evaluation) == 0:
        raise AddressError(f"{address.text!r}: the data set is empty")
    return data


def open_sample(address: Address, roots: Roots) -> LoadedData:
    """Open the images that come with PruneScope."""
    if address.name != SAMPLE_IMAGES:
        raise AddressError(f"unknown sample data {address.name!r}; known: {SAMPLE_IMAGES}")
    try:
        return LoadedData(_fashion(address.text, "test"), _fashion(address.text, "calibration"))
    except sample_models.CorruptFileError as error:
        raise AddressError(str(error)) from None


def _fashion(name: str, split: sample_models.Split) -> ArraySource:
    images, labels = sample_models.load_images(split)
    return ArraySource(
        name,
        inputs=images,
        labels=labels,
        prepare=_normalized,
        class_names=sample_models.CLASSES,
        recipe=f"mean {sample_models.MEAN} std {sample_models.STD}",
    )


def _normalized(images: Tensor) -> Tensor:
    return sample_models.normalize(images)


def open_npz_file(address: Address, roots: Roots) -> LoadedData:
    """Open a NumPy file."""
    return LoadedData(open_npz(address, roots=roots))


def open_imagefolder(address: Address, roots: Roots) -> LoadedData:
    """Open a folder with one folder of images a class."""
    folder = check_path(Path(address.name), roots=roots)
    if not folder.is_dir():
        raise AddressError(f"{address.text!r}: {missing(Path(address.name), kind='folder')}")
    transform = _transform(address, size=address.number("size") or DEFAULT_SIZE)
    try:
        dataset = torchvision().datasets.ImageFolder(str(folder), transform=transform)
    except Exception as error:
        raise AddressError(f"{address.text!r}: {one_line(error)}") from None
    return LoadedData(MapSource(address.text, dataset))


def open_torchvision(address: Address, roots: Roots) -> LoadedData:
    """Open a torchvision data set on disk."""
    root = check_path(address.path("root") or Path(), roots=roots)
    datasets = torchvision().datasets
    kind = getattr(datasets, address.name, None)
    if address.name.startswith("_") or not isinstance(kind, type):
        raise AddressError(f"unknown torchvision data set {address.name!r}")
    if not root.is_dir():
        raise AddressError(f"{address.text!r}: {missing(root, kind='folder')}")
    options = _split_options(address, kind)
    transform = _transform(address, size=address.number("size"))
    try:
        dataset = kind(str(root), transform=transform, **options)
    except Exception as error:
        raise AddressError(f"{address.text!r}: {one_line(error)}") from None
    return LoadedData(MapSource(address.text, dataset))


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


def _transform(address: Address, *, size: int | None) -> Callable[[Any], Any]:
    transforms = torchvision().transforms
    steps: list[Any] = []
    if size is not None:
        resize = address.number("resize") or round(size / CROP_SHARE)
        steps += [transforms.Resize(resize), transforms.CenterCrop(size)]
    steps.append(transforms.ToTensor())
    mean, std = address.numbers("mean"), address.numbers("std")
    if std is not None and 0.0 in std:
        raise AddressError(f"{address.text!r}: std must not be 0")
    if mean is not None or std is not None:
        # One number of the two given stands for all channels of the other.
        width = max(len(mean or ()), len(std or ()))
        steps.append(transforms.Normalize(_spread(mean, 0.0, width), _spread(std, 1.0, width)))
    composed: Callable[[Any], Any] = transforms.Compose(steps)
    return composed


def _spread(values: tuple[float, ...] | None, default: float, width: int) -> list[float]:
    given = list(values or (default,))
    return given * width if len(given) == 1 else given


def open_by_factory(address: Address, roots: Roots) -> LoadedData:
    """Open the data set that a function of the user returns."""
    found = call_factory(address, roots=roots)
    tensors = getattr(found, "tensors", None)
    if isinstance(found, torch.utils.data.TensorDataset) and tensors:
        labels = tensors[1].long() if len(tensors) > 1 else None
        return LoadedData(
            ArraySource(
                address.text, inputs=tensors[0], labels=labels, prepare=lambda batch: batch.float()
            )
        )
    return LoadedData(MapSource(address.text, found))
