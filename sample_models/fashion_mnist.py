"""Fashion-MNIST: its constants and its original files.

H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
Learning Algorithms", arXiv:1708.07747. MIT licence, copyright 2017 Zalando SE.
"""

from __future__ import annotations

import gzip
import struct
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


def read_raw(data_dir: Path, *, split: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
    """Read one split of the original gzipped IDX files.

    Args:
        data_dir: Folder with the four original files.
        split: `train` (60,000 images) or `test` (10,000 images).

    Returns:
        uint8 images (N, 1, 28, 28) and int64 labels (N).

    Raises:
        ValueError: If a file is not the expected IDX file.
    """
    images = _read_idx(data_dir / f"{_PREFIX[split]}-images-idx3-ubyte.gz")
    labels = _read_idx(data_dir / f"{_PREFIX[split]}-labels-idx1-ubyte.gz")
    return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long()


def _read_idx(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    content = gzip.decompress(path.read_bytes())
    # Two zero bytes, the type (8 = unsigned byte), the number of dimensions, then each dimension.
    zero, kind, rank = struct.unpack_from(">HBB", content)
    if zero != 0 or kind != 8:
        raise ValueError(f"{path} is not an IDX file of unsigned bytes")
    shape = struct.unpack_from(f">{rank}I", content, 4)
    flat = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * rank)
    return flat.reshape(shape).copy()
