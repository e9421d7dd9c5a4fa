"""Spoken keywords: one second of sound at 8 kHz each, of voices heard in training and of others."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sample_models.files import PACKAGE, read_fact, read_verified
from sample_models.images import SPLITS, Split

DATA_FILE = PACKAGE / "data" / "keywords.npz"
DATA_FACTS = PACKAGE / "data" / "keywords.json"
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
# Samples of one clip: one second.
LENGTH = 8000

_SEEDS: dict[Split, int] = {"test": 1, "calibration": 2}
_LOUDEST_NOISE = 400
# Of mu-law companding with 8 bits (ITU-T G.711).
_MU = 255.0


def load_sounds(split: Split) -> tuple[Tensor, Tensor]:
    """Load one split of the shipped clips and place them in noise.

    Args:
        split: `test` for the clips of voices that the model did not hear in training,
            `calibration` for clips of voices that it heard.

    Returns:
        Sounds, float32 (N, 1, 8000) in -1..1, and the number of each one's keyword, int64 (N).

    Raises:
        ValueError: If there is no such split.
        CorruptFileError: If the file or its facts are missing or damaged.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}, known are {', '.join(SPLITS)}")
    content = read_verified(DATA_FILE, sha256=read_fact(DATA_FACTS, "sha256"))
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        clips = torch.from_numpy(expanded(arrays[f"{split}_clips"]))
        labels = torch.from_numpy(arrays[f"{split}_labels"]).long()
    return placed(clips, torch.Generator().manual_seed(_SEEDS[split])), labels


def placed(clips: Tensor, generator: torch.Generator) -> Tensor:
    """Move each word to a random place of its second, at a random loudness, into noise.

    Whole numbers are computed with, so that sounds are the same on each machine.

    Args:
        clips: int16 (N, 8000), silent behind the word.
        generator: Source of the random numbers.

    Returns:
        Sounds, float32 (N, 1, 8000) in -1..1.
    """
    count = len(clips)

    def draw(*shape: int) -> Tensor:
        return torch.randint(0, 1024, (count, *shape), generator=generator)

    places = torch.arange(LENGTH)
    # Products stay below 2^25, so that 32 bits hold them, at a third of the time that 64 take.
    used = ((clips != 0) * (places + 1).short()).amax(1, keepdim=True)
    first = (LENGTH - used.long()) * draw(1) >> 10
    moved = clips.gather(1, (places - first).remainder_(LENGTH)).int()
    gain = 300 + draw(1) * 7 // 10
    sounds = moved.mul_(gain.int()).bitwise_right_shift_(10)
    noise = draw(LENGTH).int().sub_(512)
    noise.mul_((draw(1) * _LOUDEST_NOISE >> 10).int()).bitwise_right_shift_(9)
    sounds = sounds.add_(noise).clamp_(-32768, 32767)
    return sounds.float().div_(32768.0).unsqueeze(1)


def compressed(clips: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """Return 8-bit mu-law codes of 16-bit sound, in the same shape."""
    sound = clips.astype(np.float64) / 32768.0
    curve = np.sign(sound) * np.log1p(_MU * np.abs(sound)) / np.log1p(_MU)
    codes: npt.NDArray[np.uint8] = (np.round(curve * 127.0) + 128).astype(np.uint8)
    return codes


def expanded(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Return the 16-bit sound of mu-law codes, in the same shape."""
    curve = (np.arange(256) - 128.0) / 127.0
    sound = np.sign(curve) * np.expm1(np.abs(curve) * np.log1p(_MU)) / _MU
    table: npt.NDArray[np.int16] = np.round(sound * 32767.0).astype(np.int16)
    return table[codes]
