"""Calls of the program, and what is said of bad ones."""

from __future__ import annotations

import re
from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]


def assert_one_line(result: tuple[int, str, str], *, says: str = "", code: int = 2) -> None:
    found, out, err = result
    assert found == code, err
    assert out == ""
    assert err.startswith("prunescope: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert re.search(says, err), err
