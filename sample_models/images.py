"""The shipped part of Fashion-MNIST: all test images and a calibration set."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sample_models.files import PACKAGE, read_fact, read_verified

DATA_FILE = PACKAGE / "data" / "fashion_mnist.npz"
DATA_FACTS = PACKAGE / "data" / "fashion_mnist.json"

Split = Literal["test", "calibration"]
SPLITS: tuple[Split, ...] = ("test", "calibration")


def load_images(split: Split) -> tuple[Tensor, Tensor]:
    """Load one split of the shipped images.

    Args:
        split: `test` for the 10,000 test images, `calibration` for 2,000 of the training images,
            200 of each class.

    Returns:
        uint8 images (N, 1, 28, 28) and int64 labels (N).

    Raises:
        ValueError: If there is no such split.
        CorruptFileError: If the file or its facts are missing or damaged.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}, known are {', '.join(SPLITS)}")
    content = read_verified(DATA_FILE, sha256=read_fact(DATA_FACTS, "sha256"))
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long()
