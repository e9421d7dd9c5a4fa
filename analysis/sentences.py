"""Counts and names in sentences, the same in messages, charts and pages."""

from __future__ import annotations

from collections.abc import Iterable


def plural(count: int, noun: str, many: str = "") -> str:
    """Return a count with its noun.

    >>> plural(1, "layer"), plural(3, "layer"), plural(2000, "class", "classes")
    ('1 layer', '3 layers', '2,000 classes')
    """
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def percent(fraction: float, *, digits: int = 0) -> str:
    """Return a fraction as ``95 %``, as all pages write it."""
    return f"{fraction * 100:.{digits}f}\N{NO-BREAK SPACE}%"


def listed(names: Iterable[str], *, most: int = 3) -> str:
    """Join names: the first few of many.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    names = list(names)
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def capital(text: str) -> str:
    """Return a text that begins with a capital letter; paths, code, numbers and mIoU stay.

    >>> capital("a sweep needs data"), capital("mIoU drop"), capital("net.py: no such file")
    ('A sweep needs data', 'mIoU drop', 'net.py: no such file')
    """
    first = text.split(" ", 1)[0]
    is_word = first.isascii() and first.isalpha() and first[1:] == first[1:].lower()
    return text[:1].upper() + text[1:] if is_word else text
