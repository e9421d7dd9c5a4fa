"""CSV and JSON of other programs, bounded."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from pruners.errors import InputError, first_line


def rows_of(content: bytes, what: str) -> list[list[str]]:
    """Return the rows of a CSV file, cells without blanks around them; empty rows are left out.

    Raises:
        InputError: It is no UTF-8 text, or no CSV.
    """
    try:
        text = content.decode("utf-8-sig")
        # Any line ending; a lone NUL is no text.
        found = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{what} cannot be read: {first_line(error)}") from None
    rows = [[cell.strip() for cell in row] for row in found]
    return [row for row in rows if any(row)]


def first_cells(content: bytes) -> list[str]:
    """Return the cells of the first line; empty where it is no text."""
    line = content[:65536].lstrip(b"\xef\xbb\xbf").splitlines()[:1]
    try:
        return [cell.strip() for cell in line[0].decode("utf-8").split(",")] if line else []
    except UnicodeDecodeError:
        return []


def json_of(content: bytes, what: str) -> Any:
    """Return what a JSON file holds.

    Raises:
        InputError: It is no JSON, or nested too deeply.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} cannot be read: {first_line(error)}") from None


def looks_like_json(content: bytes, opening: bytes) -> bool:
    """Say whether the first character that is no blank is one of these."""
    return content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in [
        opening[i : i + 1] for i in range(len(opening))
    ]
