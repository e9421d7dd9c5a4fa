"""What training samples are, told by content: read once, checked, hashed one by one."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from analysis.files import atomic
from analysis.subjects.data import FileDigests, Split
from pruners.batches import Inputs, parts_of, shape_of
from pruners.preserve import raw_bytes

# Bytes of the digest of one sample, and of that of all targets.
WIDTH = 16
TARGETS = 32
# Samples that are read at a time.
CHUNK = 256
VERSION = "1"


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """Digests of samples.

    Attributes:
        targets: Digest of all targets, in order.
        samples: Digests of the inputs as the model sees them, one after another.
    """

    targets: bytes
    samples: bytes

    def __iter__(self) -> Iterator[bytes]:
        for first in range(0, len(self.samples), WIDTH):
            yield self.samples[first : first + WIDTH]

    def at(self, positions: Sequence[int]) -> bytes:
        """Return the digests of some samples, one after another."""
        return b"".join(self.samples[WIDTH * at : WIDTH * (at + 1)] for at in positions)

    @property
    def digest(self) -> str:
        """Digest of all samples and targets, in order."""
        return hashlib.sha256(self.targets + self.samples).hexdigest()


def content_of(split: Split, files: FileDigests, folder: Path | None) -> Content:
    """Read all samples of a split and hash them.

    What lies in files and is too much for memory is remembered in the folder, as long as the files
    stay as they are.

    Raises:
        InputError: A sample cannot be read, is not finite, or its target is out of range.
    """
    is_remembered = folder is not None and not (split.is_small or split.source.is_told_by_reading)
    if not is_remembered:
        return _read(split)
    assert folder is not None
    path = folder / f"samples-{VERSION}-{split.fingerprint(files)}"
    # A folder that cannot be used only means that files are read again another time.
    with contextlib.suppress(OSError):
        known = path.read_bytes()
        if len(known) == TARGETS + WIDTH * len(split):
            return Content(known[:TARGETS], known[TARGETS:])
    found = _read(split)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(path) as partial:
            partial.write_bytes(found.targets + found.samples)
    return found


def _read(split: Split) -> Content:
    samples = bytearray()
    targets = hashlib.sha256()
    for inputs, labels in split.batches(CHUNK):
        samples += b"".join(_digests(inputs))
        targets.update(b"none" if labels is None else raw_bytes(labels))
    return Content(targets.digest(), bytes(samples))


def _digests(inputs: Inputs) -> Iterator[bytes]:
    """Yield the digest of each input of a batch; zeros have no sign."""
    start = hashlib.blake2b(f"{shape_of(inputs)}".encode(), digest_size=WIDTH)
    whole = [(part.cpu() + 0.0).reshape(len(part), -1).contiguous() for part in parts_of(inputs)]
    parts = [part.view(torch.uint8).numpy() for part in whole]
    for rows in zip(*parts, strict=True):
        content = start.copy()
        for row in rows:
            content.update(row.data)
        yield content.digest()
