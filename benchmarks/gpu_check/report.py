"""Lines of the table, and the aims that were missed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """Lines of the table, and the aims that were missed."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    _begun: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds since the table was begun."""
        return time.perf_counter() - self._begun

    def add(self, check: str, value: str, *, passed: bool = True, aim: str = "") -> None:
        """Add a line; print it at once, for a run may be cut off."""
        self.rows.append({"check": check, "value": value, "aim": aim, "passed": passed})
        state = "ok  " if passed else "MISS"
        print(f"{state} {check:46} {value:60} {aim:26} {self.seconds:4.0f} s", flush=True)
        if not passed:
            self.missed.append(check)

    @contextmanager
    def guarded(self, check: str) -> Iterator[None]:
        """Turn what raises into a line."""
        try:
            yield
        except Exception as error:
            self.add(check, f"{type(error).__name__}: {str(error)[:200]}", passed=False)
