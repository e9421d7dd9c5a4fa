"""Scenes are the same each time, and their classes are those of the garments."""

from __future__ import annotations

import hashlib

import torch

from sample_models.scenes import SIZE, make_scenes


def test_scenes_repeat_and_tell_garments_from_the_background() -> None:
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    images[0], images[1, :, 7:21, 7:21] = 250, 250
    labels = torch.tensor([3, 8])
    pixels, classes = make_scenes(images, labels, count=40, seed=5)
    assert pixels.shape == (40, 1, SIZE, SIZE)
    # Whole numbers: the same bytes on each machine.
    content = hashlib.sha256(pixels.numpy().tobytes() + classes.numpy().tobytes()).hexdigest()
    assert content.startswith("d63e4ee604ae1411")
    assert set(classes.unique().tolist()) == {0, 4, 9}
    # The noise is at most 185 bright, and the edges of a garment are let through below 24.
    assert bool((pixels[:, 0][classes == 0] <= 185).all())
    assert (pixels[:, 0][classes > 0] == 250).float().mean() > 0.9
