"""Make the spoken keywords: `python -m sample_models.tools.speech`.

The program espeak-ng speaks each word in several accents with the voices of its variants. Every
eighth variant is held out: the shipped test clips are spoken by these voices only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sample_models.keywords import DATA_FACTS, DATA_FILE, KEYWORDS, LENGTH, compressed

PROGRAM = "espeak-ng"
ACCENTS = ("en-gb", "en-us", "en-029", "en-gb-scotland")
HELD_OUT_EVERY = 8
TEST_SEED, CALIBRATION_SEED = 1, 2
# Training speakers that the calibration clips come from.
CALIBRATION_SPEAKERS = 10
_SILENT = 300

Clips = tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]


def variants(*, held_out: bool) -> list[str]:
    """Return the names of the voice variants that are held out, or of the others.

    Raises:
        OSError: The program is not there, or ended with an error.
    """
    printed = _run(["--voices=variant"]).splitlines()[1:]
    # The last column that is a file, such as !v/Alex; the names before it may have blanks.
    names = sorted(part[3:] for line in printed for part in line.split() if part[:3] == "!v/")
    return [name for i, name in enumerate(names) if (i % HELD_OUT_EVERY == 0) == held_out]


def speak(speakers: Sequence[str], *, repeats: int, seed: int) -> Clips:
    """Let each speaker say each keyword in each accent.

    Args:
        speakers: Names of voice variants.
        repeats: Times that each word is said, at another speed and pitch.
        seed: Seed of speeds and pitches.

    Returns:
        Clips (N, 8000) of 8 kHz, silent behind the word, and the number of each clip's keyword.

    Raises:
        OSError: The program is not there, or ended with an error.
    """
    generator = torch.Generator().manual_seed(seed)
    clips, labels = [], []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "word.wav"
        for speaker in speakers:
            for accent in ACCENTS * repeats:
                for label, word in enumerate(KEYWORDS):
                    speed = int(torch.randint(120, 211, (), generator=generator))
                    pitch = int(torch.randint(25, 76, (), generator=generator))
                    voice = ["-v", f"{accent}+{speaker}", "-s", str(speed), "-p", str(pitch)]
                    _run([*voice, "-w", str(out), word])
                    clips.append(_clip(out))
                    labels.append(label)
    return np.stack(clips), np.array(labels)


def _run(arguments: Sequence[str]) -> str:
    try:
        return subprocess.run(
            [PROGRAM, *arguments], check=True, capture_output=True, text=True
        ).stdout
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no program {PROGRAM!r}; install Debian's package {PROGRAM}"
        ) from None
    except subprocess.CalledProcessError as error:
        raise OSError(f"{PROGRAM} ended with exit code {error.returncode}") from None


def _clip(path: Path) -> npt.NDArray[np.int16]:
    """Return the sound of a WAV file at 8 kHz, without the silence around it."""
    # Only the tests and this tool need scipy.
    from scipy.signal import resample_poly

    with wave.open(str(path)) as file:
        rate, content = file.getframerate(), file.readframes(file.getnframes())
    sound = resample_poly(np.frombuffer(content, np.int16).astype(np.float64), 8000, rate)
    loud = np.flatnonzero(np.abs(sound) > _SILENT)
    first, last = (loud[0], loud[-1] + 1) if len(loud) else (0, 0)
    clip = np.zeros(LENGTH, np.int16)
    chosen = sound[first:last][:LENGTH]
    clip[: len(chosen)] = chosen.round().clip(-32768, 32767)
    return clip


def make() -> None:
    """Write the clips of both splits and the JSON file with their checksum.

    Raises:
        OSError: The program is not there, or ended with an error.
    """
    unseen, seen = variants(held_out=True), variants(held_out=False)
    test, test_labels = speak(unseen, repeats=2, seed=TEST_SEED)
    some = seen[:: len(seen) // CALIBRATION_SPEAKERS][:CALIBRATION_SPEAKERS]
    calibration, calibration_labels = speak(some, repeats=1, seed=CALIBRATION_SEED)
    DATA_FILE.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        DATA_FILE,
        test_clips=compressed(test),
        test_labels=test_labels.astype(np.uint8),
        calibration_clips=compressed(calibration),
        calibration_labels=calibration_labels.astype(np.uint8),
    )
    content = {
        "schema_version": 1,
        "name": "Spoken keywords",
        "source": "espeak-ng, by sample_models/tools/speech.py",
        "licence": "the output of espeak-ng, whose own licence is GPL-3; see README.md",
        "test": f"{len(test)} clips of {len(unseen)} voices that the model did not hear",
        "calibration": f"{len(calibration)} clips of {len(some)} of the {len(seen)} voices heard",
        "sha256": hashlib.sha256(DATA_FILE.read_bytes()).hexdigest(),
    }
    DATA_FACTS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sample_models.tools.speech", description=__doc__
    )
    parser.parse_args(argv)
    try:
        make()
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {DATA_FILE} ({DATA_FILE.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
