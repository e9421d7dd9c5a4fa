"""Make the token ids of the King James Bible: `python -m sample_models.tools.text`.

The text comes from the Debian package bible-kjv, the tokenizer from the package tokenizers. Of the
1,189 chapters every 20th is held out for measuring; the tokenizer and the model see the others.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from sample_models.king_james import BOS, DATA_FACTS, DATA_FILE, TOKENIZER_FILE, VOCABULARY

PROGRAM = "bible"
EVERY = 20
# Which of each 20 chapters, counted from 0, is held out and which the calibration set is made of.
HELD_OUT, CALIBRATION = 19, 9
_VERSE = re.compile(r"(?P<chapter>\S+?):\d+ (?P<text>.+)")


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A chapter.

    Attributes:
        name: Short name of its book and its number, such as ``Ge1``.
        text: Its verses, one a line, without their numbers.
    """

    name: str
    text: str


def read_chapters(program: str = PROGRAM) -> list[Chapter]:
    """Return the chapters in the order of the book.

    Args:
        program: The command of Debian's package bible-kjv.

    Raises:
        OSError: The program is not there, or ended with an error.
        ValueError: It printed something else than verses.
    """
    try:
        printed = subprocess.run(
            [program, "-f", "Gen1:1-Rev22:21"], check=True, capture_output=True, text=True
        ).stdout
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no program {program!r}; install Debian's package bible-kjv"
        ) from None
    except subprocess.CalledProcessError as error:
        raise OSError(f"{program} ended with exit code {error.returncode}") from None
    verses: dict[str, list[str]] = {}
    for line in printed.splitlines():
        match = _VERSE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"{program} printed {line[:60]!r} where a verse was expected")
        verses.setdefault(match["chapter"], []).append(match["text"].strip())
    return [Chapter(name=name, text="\n".join(lines)) for name, lines in verses.items()]


def train_tokenizer(texts: Sequence[str], *, vocabulary: int = VOCABULARY) -> Tokenizer:
    """Train a byte-level BPE tokenizer whose id 0 begins a text.

    Args:
        texts: Texts to count pairs in.
        vocabulary: Number of ids.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<bos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(
    chapters: Sequence[Chapter], tokenizer: Tokenizer
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """Return the ids of all chapters, each behind a `BOS`, and where each chapter begins."""
    pieces = [
        np.array([BOS, *item.ids]) for item in tokenizer.encode_batch([c.text for c in chapters])
    ]
    starts = np.cumsum([0, *(len(piece) for piece in pieces[:-1])])
    return np.concatenate(pieces).astype(np.uint16), starts.astype(np.int32)


def is_training(index: int) -> bool:
    """Whether the model was trained on the chapter of this number, counted from 0."""
    return index % EVERY != HELD_OUT


def make(chapters: Sequence[Chapter]) -> None:
    """Write the tokenizer, the ids of both splits and the JSON file with their checksums."""
    tokenizer = train_tokenizer([c.text for i, c in enumerate(chapters) if is_training(i)])
    DATA_FILE.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(TOKENIZER_FILE))
    arrays: dict[str, npt.NDArray[Any]] = {}
    for split, offset in (("test", HELD_OUT), ("calibration", CALIBRATION)):
        chosen = chapters[offset::EVERY]
        arrays[f"{split}_ids"], arrays[f"{split}_starts"] = encode(chosen, tokenizer)
        arrays[f"{split}_names"] = np.array([chapter.name for chapter in chosen])
    np.savez_compressed(DATA_FILE, **arrays)  # type: ignore[arg-type]
    held, learned = len(arrays["test_starts"]), len(arrays["calibration_starts"])
    content = {
        "schema_version": 1,
        "name": "King James Bible",
        "source": "Debian package bible-kjv",
        "licence": "Public domain: the copyright of the text of 1611 is expired",
        "test": f"every {EVERY}th chapter, held out: {held} of {len(chapters)}",
        "calibration": f"{learned} of the chapters trained on",
        "sha256": hashlib.sha256(DATA_FILE.read_bytes()).hexdigest(),
        "tokenizer_sha256": hashlib.sha256(TOKENIZER_FILE.read_bytes()).hexdigest(),
    }
    DATA_FACTS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m sample_models.tools.text", description=__doc__)
    parser.parse_args(argv)
    try:
        make(read_chapters())
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {DATA_FILE} ({DATA_FILE.stat().st_size / 1e6:.2f} MB) and {TOKENIZER_FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
