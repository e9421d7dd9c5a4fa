"""What a model or data address says, in parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pruners.errors import AddressError


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address.

    Attributes:
        text: The address as it was given.
        scheme: Name of a scheme, for a factory ``file`` or ``module``.
        name: Name, path or dotted module, by scheme.
        factory: Name of the function in a file or module; else empty.
        options: What follows ``#``.
        is_path: Whether the name is a file or folder.
        meant: Scheme that a module's name is near to; empty without one.
    """

    text: str
    scheme: str
    name: str
    factory: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    is_path: bool = False
    meant: str = ""

    def path(self, option: str) -> Path | None:
        """Return an option that names a file or folder, ``~`` expanded; None if not given."""
        value = self.options.get(option)
        return Path(value).expanduser() if value is not None else None

    def number(self, option: str) -> int | None:
        """Return an option that is a whole number above 0; None if not given.

        Raises:
            AddressError: It is none.
        """
        value = self.options.get(option)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and int(value) > 0):
            raise AddressError(
                f"{self.text!r}: option {option} must be a whole number above 0, found {value!r}"
            )
        return int(value)

    def numbers(self, option: str) -> tuple[float, ...] | None:
        """Return an option that is a list of finite numbers; None if not given.

        Raises:
            AddressError: It is none.
        """
        value = self.options.get(option)
        if value is None:
            return None
        try:
            found = tuple(float(part) for part in value.split(","))
        except ValueError:
            found = ()
        if not found or not all(math.isfinite(item) for item in found):
            raise AddressError(
                f"{self.text!r}: option {option} must be numbers joined by commas, found {value!r}"
            )
        return found
