"""Fashion-MNIST: its constants and its original files.

H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
Learning Algorithms", arXiv:1708.07747. MIT licence, copyright 2017 Zalando SE.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

CLASSES: tuple[str, ...] = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# Over all pixels of the 60,000 training images, scaled to 0..1.
MEAN = 0.2860
STD = 0.3530
# Where the Debian package dataset-fashion-mnist puts the original files.
DEFAULT_DIR = Path("/usr/share/datasets/fashion-mnist")

_PREFIX = {"train": "train", "test": "t10k"}


def normalize(images: Tensor) -> Tensor:
    """Scale uint8 images to 0..1 and standardize them with `MEAN` and `STD`.

    Args:
        images: uint8 images of any shape.

    Returns:
        float32 tensor of the same shape.
    """
    return images.float().div_(255.0).sub_(MEAN).div_(STD)


def raw_files(data_dir: Path, *, split: Literal["train", "test"]) -> tuple[Path, Path]:
    """Return where the images and the labels of one split lie.

    The original files may be compressed or not, in the folder itself (as Debian's package has
    them) or in ``FashionMNIST/raw`` below it (as torchvision has them).

    Raises:
        FileNotFoundError: They lie in none of these places.
    """
    names = [f"{_PREFIX[split]}-{name}-ubyte" for name in ("images-idx3", "labels-idx1")]
    for folder in (data_dir, data_dir / "FashionMNIST" / "raw", data_dir / "raw"):
        found = [
            path
            for name in names
            for path in (folder / f"{name}.gz", folder / name)
            if path.is_file()
        ]
        # Either form of a file will do; of two, the first.
        chosen = {path.name.removesuffix(".gz"): path for path in reversed(found)}
        if len(chosen) == len(names):
            return chosen[names[0]], chosen[names[1]]
    raise FileNotFoundError(
        f"{data_dir} has no {names[0]}[.gz] beside {names[1]}[.gz], and no FashionMNIST/raw with "
        "them"
    )


def read_raw(data_dir: Path, *, split: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
    """Read one split of the original IDX files; see `raw_files` for where they may lie.

    Args:
        data_dir: Folder with the original files.
        split: `train` (60,000 images) or `test` (10,000 images).

    Returns:
        uint8 images (N, 1, 28, 28) and int64 labels (N).

    Raises:
        FileNotFoundError: They are not there.
        ValueError: If a file is not the expected IDX file.
    """
    image_file, label_file = raw_files(data_dir, split=split)
    images, labels = _read_idx(image_file, rank=3), _read_idx(label_file, rank=1)
    if images.shape[1:] != (28, 28):
        raise ValueError(f"{image_file} holds images of {images.shape[1:]} pixels, not of (28, 28)")
    if len(images) != len(labels):
        raise ValueError(
            f"{image_file} holds {len(images)} images, {label_file} {len(labels)} labels"
        )
    if len(labels) and labels.max() >= len(CLASSES):
        raise ValueError(f"{label_file} holds class {labels.max()}; there are {len(CLASSES)}")
    return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long()


def _read_idx(path: Path, *, rank: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is damaged: {error}") from None
    # Two zero bytes, the type (8 = unsigned byte), the number of dimensions, then each dimension.
    first = 4 + 4 * rank
    if len(content) < first or content[:4] != bytes((0, 0, 8, rank)):
        raise ValueError(f"{path} is not an IDX file of unsigned bytes in {rank} dimensions")
    shape = struct.unpack_from(f">{rank}I", content, 4)
    if len(content) - first != math.prod(shape):
        raise ValueError(
            f"{path} is damaged: {len(content) - first} bytes follow where {shape} needs "
            f"{math.prod(shape)}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=first).reshape(shape).copy()
