"""What the sample models are trained on: batches of inputs and targets, changed at random."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sample_models.fashion_mnist import normalize, read_raw
from sample_models.keywords import placed
from sample_models.king_james import TOKENIZER_FILE, WINDOW
from sample_models.scenes import make_scenes, normalize_scenes
from sample_models.tools.recipes import Recipe

Batch = tuple[Tensor, Tensor]
# Scenes of one epoch.
SCENES = 8000


@dataclass(frozen=True, kw_only=True)
class Material:
    """Samples to train on.

    Attributes:
        count: Samples of one epoch.
        batch: Makes the inputs and targets of samples, given by their numbers; random numbers
            come from the generator.
    """

    count: int
    batch: Callable[[Tensor, torch.Generator], Batch]


def augment(images: Tensor, *, shift: int, generator: torch.Generator) -> Tensor:
    """Shift each image by up to `shift` pixels and mirror half of them.

    Args:
        images: uint8 images (N, 1, H, W).
        shift: Largest shift in each direction; what is uncovered becomes black.
        generator: Source of the random numbers.

    Returns:
        New images of the same shape.
    """
    count, _, height, width = images.shape
    padded = F.pad(images, (shift, shift, shift, shift))[:, 0]

    def offsets() -> Tensor:
        return torch.randint(0, 2 * shift + 1, (count, 1), generator=generator)

    rows = offsets() + torch.arange(height)
    columns = offsets() + torch.arange(width)
    mirror = torch.rand(count, generator=generator) < 0.5
    columns = torch.where(mirror[:, None], columns.flip(1), columns)
    index = torch.arange(count)[:, None, None]
    return padded[index, rows[:, :, None], columns[:, None, :]].unsqueeze(1)


def images(recipe: Recipe, data_dir: Path) -> Material:
    """Return the 60,000 training images, shifted and mirrored."""
    pictures, labels = read_raw(data_dir, split="train")

    def batch(chosen: Tensor, generator: torch.Generator) -> Batch:
        changed = augment(pictures[chosen], shift=recipe.shift, generator=generator)
        inputs = normalize(changed).contiguous(memory_format=torch.channels_last)
        return inputs, labels[chosen]

    return Material(count=len(pictures), batch=batch)


def text(recipe: Recipe, data_dir: Path) -> Material:
    """Return windows of the training chapters, each with what follows every token."""
    # The tokenizer's package is needed for this material only.
    from tokenizers import Tokenizer

    from sample_models.tools.text import encode, is_training, read_chapters

    chapters = [chapter for i, chapter in enumerate(read_chapters()) if is_training(i)]
    ids = encode(chapters, Tokenizer.from_file(str(TOKENIZER_FILE)))[0]
    stream = torch.from_numpy(ids.astype(np.int64))

    def batch(chosen: Tensor, generator: torch.Generator) -> Batch:
        shifts = torch.randint(0, WINDOW, chosen.shape, generator=generator)
        windows = stream[(chosen * WINDOW + shifts)[:, None] + torch.arange(WINDOW + 1)]
        return windows[:, :-1], windows[:, 1:]

    return Material(count=(len(stream) - 1) // WINDOW - 1, batch=batch)


def scenes(recipe: Recipe, data_dir: Path) -> Material:
    """Return scenes of the training images, half of them mirrored."""
    pixels, classes = make_scenes(*read_raw(data_dir, split="train"), count=SCENES, seed=0)
    inputs = normalize_scenes(pixels)

    def batch(chosen: Tensor, generator: torch.Generator) -> Batch:
        mirror = (torch.rand(len(chosen), generator=generator) < 0.5)[:, None, None]
        x, y = inputs[chosen], classes[chosen]
        x = torch.where(mirror[:, None], x.flip(-1), x)
        y = torch.where(mirror, y.flip(-1), y)
        return x.contiguous(memory_format=torch.channels_last), y

    return Material(count=SCENES, batch=batch)


def sounds(recipe: Recipe, data_dir: Path) -> Material:
    """Return keywords of the training voices, stretched and placed in noise at random."""
    from sample_models.tools.speech import speak, variants

    clips, labels = map(torch.from_numpy, speak(variants(held_out=False), repeats=1, seed=0))

    def batch(chosen: Tensor, generator: torch.Generator) -> Batch:
        return placed(stretch(clips[chosen], generator), generator), labels[chosen]

    return Material(count=len(clips), batch=batch)


def stretch(clips: Tensor, generator: torch.Generator) -> Tensor:
    """Play each clip faster or slower by up to a sixth, which changes its pitch as well.

    Args:
        clips: int16 (N, samples), silent behind the word.
        generator: Source of the random numbers.

    Returns:
        New clips of the same shape.
    """
    count, samples = clips.shape
    speed = 1 + (2 * torch.rand(count, 1, generator=generator) - 1) / 6
    place = (torch.arange(samples) * speed).clamp(max=samples - 1)
    low = place.long()
    part = place - low
    before = clips.gather(1, low).float()
    after = clips.gather(1, (low + 1).clamp(max=samples - 1)).float()
    return (before * (1 - part) + after * part).round().to(clips.dtype)


MATERIALS: Mapping[str, Callable[[Recipe, Path], Material]] = {
    "images": images,
    "text": text,
    "scenes": scenes,
    "sounds": sounds,
}
