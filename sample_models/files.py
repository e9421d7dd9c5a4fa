"""Reading shipped files whose checksum is known."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

PACKAGE = Path(__file__).parent


class CorruptFileError(ValueError):
    """A shipped file is missing or is not the one its checksum was taken of."""


def read_verified(path: Path, *, sha256: str) -> bytes:
    """Return the content of a file if it has the given SHA-256 checksum.

    Args:
        path: File to read.
        sha256: Expected checksum in lower-case hexadecimal digits.

    Raises:
        CorruptFileError: If the file cannot be read or its checksum differs.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorruptFileError(f"cannot read {path}: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise CorruptFileError(
            f"{path} is damaged: its SHA-256 is {found[:12]}..., expected {sha256[:12]}...; "
            "restore it from the repository"
        )
    return content


def read_fact(path: Path, name: str) -> str:
    """Return a text from the JSON file that stands beside a data file.

    Args:
        path: File to read.
        name: Key of the text, such as ``sha256``.

    Raises:
        CorruptFileError: If the file or the key is missing or damaged.
    """
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))[name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptFileError(f"cannot read {name} in {path}: {error}") from error
