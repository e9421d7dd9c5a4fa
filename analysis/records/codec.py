"""From parsed JSON to typed values; a fault is one line that names its place.

Strict: ``"4"`` and ``4.0`` are no ``int``; ``4`` is a ``float`` as well. NaN and infinity, which
Python's JSON has, pass where no range is stated.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from pruners.errors import InputError

Value = TypeVar("Value")

Count = Annotated[int, msgspec.Meta(ge=0)]
PositiveCount = Annotated[int, msgspec.Meta(ge=1)]
# Unix time that a calendar holds.
Moment = Annotated[float, msgspec.Meta(ge=0, le=2e11)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]

MAX_SHOWN = 60
# What msgspec says: "Expected `int`, got `str` - at `$.entries[3].kept`".
_MESSAGE = re.compile(r"(?P<text>.*?)(?: - at `(?P<place>.*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected (?P<expected>.*?)(?:, got (?P<found>.*))?", re.DOTALL)


def parse_json(text: str | bytes, *, name: str) -> Any:
    """Parse JSON text.

    Args:
        text: What should be JSON.
        name: What to call it in messages.

    Raises:
        InputError: It is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON: {error}") from None


def decode_json(kind: type[Value], text: str | bytes, *, name: str) -> Value:
    """Parse JSON text of a type; see `parse_json` and `decode`."""
    return decode(kind, parse_json(text, name=name), name=name)


def decode(kind: type[Value], data: object, *, name: str) -> Value:
    """Convert what JSON text held to a type.

    Args:
        kind: A dataclass, ``dict[str, int]``, ``tuple[Count, ...]``, ...
        data: Dictionaries, lists, texts, numbers.
        name: What to call it in messages; the path of a fault is appended.

    Raises:
        InputError: It is of another type, or out of a range.

    >>> decode(dict[str, int], {"kept": 4}, name="counts")
    {'kept': 4}
    >>> decode(tuple[Count, ...], [4, -1], name="counts")
    Traceback (most recent call last):
    ...
    pruners.errors.InputError: counts[1]: expected int >= 0, found -1
    """
    try:
        return msgspec.convert(data, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(_line(str(error), data, name)) from None
    except UnicodeEncodeError as error:
        # Bytes of a command line that are no UTF-8 arrive as such characters.
        raise InputError(f"{name}: {shown(error.object)} is no text") from None


def _line(message: str, data: object, name: str) -> str:
    """Rewrite a message of msgspec: where, what was expected, what was found."""
    parts = _MESSAGE.fullmatch(message)
    assert parts is not None  # It matches any text.
    place = (parts["place"] or "$").replace("`", "")
    where = name + place.removeprefix("$") if place.startswith("$") else f"{name}, {place}"
    faults = _EXPECTED.fullmatch(parts["text"])
    if faults is None:
        return f"{where}: {parts['text']}"
    expected, found = ((faults[name] or "").replace("`", "") for name in ("expected", "found"))
    expected = expected.replace(" | ", " or ")
    return f"{where}: expected {expected}, found {_found(data, place) or found}"


def _found(data: Any, place: str) -> str:
    """Return what stands at a place, for a person; empty where the place names no single value."""
    steps = re.findall(r"\.(\w+)|\[(\d+)\]", place)
    if place != "$" + "".join(f".{name}" if name else f"[{at}]" for name, at in steps):
        return ""
    try:
        for name, at in steps:
            data = data[name or int(at)]
    except (LookupError, TypeError):
        return ""
    return shown(data)


def pack_places(places: Sequence[int], total: int) -> str:
    """Return places as base64 of one bit each of ``total``, the first bit the most significant.

    >>> pack_places((0, 2, 9), 10)
    'oEA='
    """
    bits = bytearray((total + 7) // 8)
    for place in places:
        bits[place >> 3] |= 128 >> (place & 7)
    return base64.b64encode(bits).decode("ascii")


def unpack_places(text: str, total: int) -> list[int]:
    """Return the places that `pack_places` wrote, in rising order.

    Raises:
        ValueError: It is no base64, or not as many bits.
    """
    try:
        packed = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("no base64") from None
    bits = f"{int.from_bytes(packed):0{8 * len(packed)}b}" if packed else ""
    if len(packed) != (total + 7) // 8 or "1" in bits[total:]:
        raise ValueError(f"{len(bits)} bits for {total} units")
    return [place for place, bit in enumerate(bits) if bit == "1"]


def shown(value: object) -> str:
    """Return a value as JSON says it, in a few words."""
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list | tuple):
        return f"array of length {len(value)}"
    if value is None or isinstance(value, str | int | float):
        text = json.dumps(value)
        return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
    return type(value).__name__
