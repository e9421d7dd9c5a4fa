"""Lines of the table, the aims that were missed, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

WIDTHS = (46, 62, 26)


@dataclass
class Report:
    """Lines of the table, the aims that were missed, and the time that is left.

    Attributes:
        limit: Seconds that all checks may take together.
        rows: The lines.
        missed: Checks whose aim was missed.
    """

    limit: float = 300.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    _begun: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds since the table was begun."""
        return time.perf_counter() - self._begun

    def has_time(self, needed: float, *, share: float = 1.0) -> bool:
        """Return whether so many more seconds end within a share of the limit."""
        return self.seconds + needed <= share * self.limit

    def head(self) -> None:
        """Print the head of the table."""
        self._print("", ("check", "found", "aim"), "time")

    def add(self, check: str, value: str, *, passed: bool = True, aim: str = "") -> None:
        """Add a line; print it at once, for a run may be cut off."""
        self.rows.append({"check": check, "value": value, "aim": aim, "passed": passed})
        self._print("ok" if passed else "MISS", (check, value, aim), f"{self.seconds:.0f} s")
        if not passed:
            self.missed.append(check)

    def _print(self, state: str, cells: tuple[str, str, str], seconds: str) -> None:
        words = [f"{cell:{width}}" for cell, width in zip(cells, WIDTHS, strict=True)]
        print(f"{state:4}", *words, f"{seconds:>6}", flush=True)

    @contextmanager
    def guarded(self, check: str) -> Iterator[None]:
        """Turn what raises into a line."""
        try:
            yield
        except Exception as error:
            self.add(check, f"{type(error).__name__}: {str(error)[:200]}", passed=False)
