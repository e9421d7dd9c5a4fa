"""What comparisons found: one comparison, one library's word on an export, all of them."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.records import Count, Document, Record

PASSED, FAILED, MISSING, REFUSED = "passed", "failed", "not installed", "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Record):
    """One comparison.

    Attributes:
        name: What was compared: ``plan``, ``weights``, ``outputs``, ...
        passed: Whether it holds.
        text: What was expected and found, for a person.
        compared: How many numbers were compared; 0 where it was something else.
        unequal: How many of them differ; None where equality was not asked.
        difference: Largest difference of two numbers, relative to the largest expected one; None
            where it was not measured.
    """

    name: str
    passed: bool
    text: str
    compared: Count = 0
    unequal: Count | None = None
    difference: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation(Record):
    """What one library says of an export.

    Attributes:
        verifier: One of `analysis.interop.VERIFIERS`.
        label: The library, for a person.
        version: Its version; empty where it is not installed.
        result: ``passed``, ``failed``, ``not installed`` or ``refused``: the library, or the
            comparison, cannot take this model.
        text: Why, unless it passed.
        install: What installs the library.
        checks: In the order in which they were made.
        seconds: Wall time.
    """

    verifier: str
    label: str
    version: str
    result: str
    text: str = ""
    install: str = ""
    checks: tuple[Check, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the library confirmed the export."""
        return self.result == PASSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Document):
    """What the libraries that an export is for say of it.

    Attributes:
        format: The format.
        date: Day and time in UTC, ISO 8601.
        python: The interpreter that ran the libraries, ``3.11.7``; empty if none ran.
        targets: One a library.
    """

    format: str
    date: str
    python: str = ""
    targets: tuple[Confirmation, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether a library confirmed the export, and none found a fault."""
        results = {target.result for target in self.targets}
        return PASSED in results and FAILED not in results
