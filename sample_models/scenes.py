"""Scenes of 64x64 pixels with a class for each pixel, made from images of garments.

One to four garments of different sizes lie, over each other, on textured noise. Everything is
computed in whole numbers from a seed, so that a scene is the same on each machine.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sample_models.fashion_mnist import CLASSES
from sample_models.images import Split, load_images

SCENE_CLASSES: tuple[str, ...] = ("background", *CLASSES)
SIZE = 64
COUNTS: dict[Split, int] = {"test": 1000, "calibration": 500}
# Of all pixels of 2,000 training scenes, scaled to 0..1.
SCENE_MEAN = 0.412
SCENE_STD = 0.186

_SEEDS: dict[Split, int] = {"test": 1, "calibration": 2}
_MOST = 4
_SMALLEST, _LARGEST = 20, 40
# A pixel of a garment is at least this bright; what is darker shows what lies below.
_OPAQUE = 24


def load_scenes(split: Split) -> tuple[Tensor, Tensor]:
    """Make the scenes of one split from the shipped images of that split.

    Args:
        split: `test` for 1,000 scenes of test images, `calibration` for 500 of images that the
            model was trained on as well.

    Returns:
        uint8 scenes (N, 1, 64, 64) and int64 classes (N, 64, 64), see `SCENE_CLASSES`.

    Raises:
        ValueError: If there is no such split.
        CorruptFileError: If the images are missing or damaged.
    """
    images, labels = load_images(split)
    return make_scenes(images, labels, count=COUNTS[split], seed=_SEEDS[split])


def normalize_scenes(scenes: Tensor) -> Tensor:
    """Scale uint8 scenes to 0..1 and standardize them with `SCENE_MEAN` and `SCENE_STD`."""
    return scenes.float().div_(255.0).sub_(SCENE_MEAN).div_(SCENE_STD)


def make_scenes(images: Tensor, labels: Tensor, *, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Make scenes.

    Args:
        images: uint8 garments (M, 1, 28, 28).
        labels: Class of each garment, int64 (M).
        count: Number of scenes.
        seed: Seed of the scenes.

    Returns:
        uint8 scenes (count, 1, 64, 64) and int64 classes (count, 64, 64), 0 for the background
        and 1 more than the garment's label elsewhere.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, *shape: int) -> Tensor:
        """Return whole numbers from `low` to `high`, both included."""
        return torch.randint(low, high + 1, (count, *shape), generator=generator)

    whole = torch.full((count,), SIZE)
    start = torch.zeros(count, dtype=torch.int64)
    coarse, _ = _placed(draw(0, 70, 9, 9).int(), start, start, whole)
    pixels = coarse + draw(0, 90, 1, 1).int() + draw(0, 25, SIZE, SIZE).int()
    classes = torch.zeros(count, SIZE, SIZE, dtype=torch.int64)
    garments = draw(1, _MOST)
    for layer in range(_MOST):
        chosen = draw(0, len(images) - 1)
        size = draw(_SMALLEST, _LARGEST)
        # A quarter of a garment may lie beyond an edge.
        top, left = (
            (draw(0, 1023) * (SIZE - size + size // 2) >> 10) - size // 4 for _ in range(2)
        )
        values, inside = _placed(images[chosen, 0].int(), top, left, size)
        covers = inside & (values >= _OPAQUE) & (layer < garments)[:, None, None]
        pixels = torch.where(covers, values, pixels)
        classes = torch.where(covers, labels[chosen, None, None] + 1, classes)
    return pixels.to(torch.uint8).unsqueeze(1), classes


def _placed(pictures: Tensor, top: Tensor, left: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Scale square pictures to `size` and lay them on empty scenes.

    Args:
        pictures: int32 (N, side, side), of 8 bits: their products take 24.
        top: First row of each, (N).
        left: First column of each, (N).
        size: Rows and columns of each in the scene, (N).

    Returns:
        int32 pixels (N, 64, 64), and where they lie inside the picture.
    """
    count, side = len(pictures), pictures.shape[-1]

    def along(first: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        place = torch.arange(SIZE) - first[:, None]
        # The place in the picture in 1/256 of its pixels, middle on middle.
        exact = ((2 * place + 1) * (side * 128)).div(size[:, None], rounding_mode="floor") - 128
        exact = exact.clamp(0, (side - 1) * 256)
        low = exact >> 8
        inside = (place >= 0) & (place < size[:, None])
        return low, (low + 1).clamp(max=side - 1), (exact & 255).int(), inside

    low, high, part, rows_inside = along(top)
    index = torch.arange(count)[:, None]
    rows = (
        pictures[index, low] * (256 - part[:, :, None]) + pictures[index, high] * part[:, :, None]
    )
    low, high, part, columns_inside = along(left)
    rows = rows.transpose(1, 2)
    columns = rows[index, low] * (256 - part[:, :, None]) + rows[index, high] * part[:, :, None]
    inside = rows_inside[:, :, None] & columns_inside[:, None, :]
    return columns.transpose(1, 2) >> 16, inside
