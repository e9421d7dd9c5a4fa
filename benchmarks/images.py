"""Random images in a file, for models that no data set ships with."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def random_images(
    folder: Path, *, samples: int, calibration: int = 8, size: int = 224, classes: int = 1000
) -> str:
    """Write images and labels below a folder; return their data address."""
    chance = np.random.default_rng(0)
    shape = (samples + calibration, size, size, 3)
    path = folder / "images.npz"
    np.savez(
        path,
        images=chance.integers(0, 256, shape, dtype=np.uint8),
        labels=chance.integers(0, classes, shape[0]),
    )
    return f"npz:{path}#mean=0.5,0.5,0.5&std=0.25,0.25,0.25"
