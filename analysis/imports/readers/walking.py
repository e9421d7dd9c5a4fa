"""Values of a pickle as names and numbers: the walk is counted and follows no nesting."""

from __future__ import annotations

from analysis.imports.raw import MAX_POINTS, level_of, number
from analysis.imports.readers.pickles import MAX_SCALAR, Pairs, shown_kind
from pruners.errors import InputError


def text_of(value: object, where: str) -> str:
    """Return a text, also one that Python 2 kept as bytes.

    Raises:
        InputError: It is none.
    """
    if isinstance(value, bytes) and len(value) <= MAX_SCALAR:
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str) or len(value) > MAX_SCALAR:
        raise InputError(f"{where}: expected a name, found {shown_kind(value)}")
    return value


def curves_of(table: object, where: str) -> list[tuple[str, float, float]]:
    """Return layer, level and value from a dictionary of dictionaries of numbers.

    The walk is counted, so that what the file holds once and names often cannot make it long.

    Raises:
        InputError: It is something else, or holds too much.
    """
    if not isinstance(table, Pairs) or not table:
        raise InputError(f"{where} holds no dictionary of layers")
    rows: list[tuple[str, float, float]] = []
    for layer, levels in table:
        name = text_of(layer, where)
        if not isinstance(levels, Pairs):
            raise InputError(f"{where}: {name} has no dictionary of levels")
        if len(rows) + len(levels) > MAX_POINTS:
            raise InputError(f"{where} holds more than {MAX_POINTS:,} measurements")
        rows += [(name, level_of(key, where), number(value, where)) for key, value in levels]
    return rows
