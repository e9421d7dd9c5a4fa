"""The King James Bible as token ids: chapters held out for measuring and a calibration set."""

from __future__ import annotations

import io
import json

import numpy as np
import torch
from torch import Tensor

from sample_models.files import PACKAGE, read_fact, read_verified
from sample_models.images import SPLITS, Split

DATA_FILE = PACKAGE / "data" / "king_james.npz"
DATA_FACTS = PACKAGE / "data" / "king_james.json"
TOKENIZER_FILE = PACKAGE / "data" / "king_james_tokenizer.json"
VOCABULARY = 1024
# The id that begins each chapter.
BOS = 0
# Tokens of one input.
WINDOW = 128
# The target of a place behind the end of a chapter, which no loss counts.
IGNORED = -100


def load_windows(split: Split) -> tuple[Tensor, Tensor]:
    """Load one split as windows of tokens, each chapter from its beginning.

    Windows follow each other without overlap, so that each token is a target once. The last window
    of a chapter is filled up with ids that no target counts.

    Args:
        split: `test` for the chapters held out, `calibration` for some that the model learned.

    Returns:
        Token ids, int64 (N, 128), and what follows each of them, int64 (N, 128) with `IGNORED`.

    Raises:
        ValueError: If there is no such split.
        CorruptFileError: If the file or its facts are missing or damaged.
    """
    inputs, targets = [], []
    for ids in _chapters(split):
        count = -(-(len(ids) - 1) // WINDOW) * WINDOW
        missing = count - (len(ids) - 1)
        inputs.append(np.concatenate([ids[:-1], np.full(missing, BOS)]).reshape(-1, WINDOW))
        targets.append(np.concatenate([ids[1:], np.full(missing, IGNORED)]).reshape(-1, WINDOW))
    return torch.from_numpy(np.concatenate(inputs)), torch.from_numpy(np.concatenate(targets))


def window_chapters(split: Split) -> Tensor:
    """Return the number of the chapter, counted from 0, that each window is from, int64 (N).

    Args:
        split: As for `load_windows`.
    """
    counts = [-(-(len(ids) - 1) // WINDOW) for ids in _chapters(split)]
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))


def token_bytes() -> Tensor:
    """Return how many bytes of the text each token stands for, int64 (tokens).

    A token of a byte-level tokenizer is written with one letter a byte; `BOS` stands for none.
    """
    described = json.loads(TOKENIZER_FILE.read_text(encoding="utf-8"))
    sizes = torch.zeros(VOCABULARY, dtype=torch.int64)
    for token, number in described["model"]["vocab"].items():
        sizes[number] = len(token)
    sizes[BOS] = 0
    return sizes


def _chapters(split: Split) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}, known are {', '.join(SPLITS)}")
    content = read_verified(DATA_FILE, sha256=read_fact(DATA_FACTS, "sha256"))
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        ids, starts = arrays[f"{split}_ids"].astype(np.int64), arrays[f"{split}_starts"]
    return np.split(ids, starts[1:])
