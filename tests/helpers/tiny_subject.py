"""A subject so small that a whole sweep takes a fraction of a second; written as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec

MODEL_SOURCE = """
import torch
from torch import nn


def build():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 4),
    )


def nothing():
    return 1


def raising():
    raise OSError("the factory is\\nbroken")
"""


def write_images(path: Path, *, count: int = 240, labels: bool = True, low: int = 0) -> Path:
    """Write uint8 images (N, 8, 8) whose brightest quarter is the label."""
    generator = np.random.default_rng(5)
    images = generator.integers(0, 120, size=(count, 8, 8), dtype=np.uint8)
    classes = generator.integers(0, 4, size=count)
    for image, label in zip(images, classes, strict=True):
        row, column = divmod(int(label), 2)
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 100
    arrays = {"images": images}
    if labels:
        arrays["labels"] = classes.astype(np.int64) + low
    np.savez(path, **arrays)
    return path


def write_subject(folder: Path, **options: int | bool) -> SubjectSpec:
    """Write a model file and a data file and return the subject that they are."""
    model = folder / "tiny_model.py"
    model.write_text(MODEL_SOURCE, encoding="utf-8")
    data = write_images(folder / "tiny.npz", **options)  # type: ignore[arg-type]
    return SubjectSpec(
        model=f"{model}:build",
        data=f"npz:{data}#mean=0.5&std=0.25",
        samples=160,
        calibration_samples=40,
        batch_size=16,
    )


def tiny_sweep(subject: SubjectSpec) -> SweepSpec:
    return SweepSpec(subject=subject, criteria=("l1", "fpgm"), ratios=(0.0, 0.25, 0.5, 0.75))


def seeded_state(model: torch.nn.Module, *, seed: int = 11) -> dict[str, torch.Tensor]:
    """Return other weights for a model."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(tensor.shape, generator=generator)
        for name, tensor in model.state_dict().items()
    }
