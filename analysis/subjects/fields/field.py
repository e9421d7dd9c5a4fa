"""What a part of an address is."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "count", "shape", "numbers", "file", "folder"]
# More digits are no size of anything, and Python takes long to read very many.
WHOLE = re.compile(r"0*[1-9][0-9]{0,8}")
MAX_SHOWN = 200


def read_count(text: str) -> int:
    """Return a whole number above 0.

    Raises:
        ValueError: The text is none.
    """
    if not WHOLE.fullmatch(text):
        raise ValueError(
            f"must be a whole number above 0, of at most 9 digits, found {shown(text)}"
        )
    return int(text)


def read_shape(text: str) -> tuple[int, ...]:
    """Return whole numbers above 0 that are joined by commas.

    Raises:
        ValueError: The text is none.
    """
    parts = text.split(",")
    if not all(map(WHOLE.fullmatch, parts)):
        raise ValueError(
            "must be whole numbers above 0 joined by commas, such as 3,224,224, found "
            f"{shown(text)}"
        )
    return tuple(map(int, parts))


def read_numbers(text: str) -> tuple[float, ...]:
    """Return finite numbers that are joined by commas.

    Raises:
        ValueError: The text is none.
    """
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(math.isfinite(item) for item in found):
        raise ValueError(f"must be numbers joined by commas, found {shown(text)}")
    return found


def shown(text: str) -> str:
    """Return a text in quotes, cut where it is very long."""
    return repr(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}...")


_READ: Mapping[Kind, Callable[[str], object]] = {
    "count": read_count,
    "shape": read_shape,
    "numbers": read_numbers,
}


def _none() -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A part of an address.

    Attributes:
        name: What stands before ``=``; of what follows the scheme, only a name.
        label: Name on pages.
        help: What it is, in plain words.
        kind: What a value is: any ``text``, a ``count`` from 1, a ``shape`` of such, ``numbers``
            joined by commas, or a ``file`` or ``folder`` below the allowed ones.
        unset: What happens without a value, or an example of one.
        required: What it names, where it must be given; else empty.
        suffixes: How the files that it may name end, with the dot.
        uploads: Whether such a file may come from the browser: nothing in it is ever run.
        known: Returns values to choose from; others may be typed.
    """

    name: str
    label: str
    help: str
    kind: Kind = "text"
    unset: str = ""
    required: str = ""
    suffixes: tuple[str, ...] = ()
    uploads: bool = False
    known: Callable[[], Iterable[str]] = _none

    def problem(self, value: str) -> str:
        """Return what is wrong with a value; empty if nothing is."""
        read = _READ.get(self.kind)
        if read is None:
            return ""
        try:
            read(value)
        except ValueError as error:
            return str(error)
        return ""
