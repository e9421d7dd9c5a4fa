"""What a model or data address says, in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from analysis.subjects.fields import FACTORY, read_count, read_numbers, read_shape, shown
from pruners.errors import AddressError

V = TypeVar("V")


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
        """Return an option that names a file or folder, as it was written; None if not given."""
        value = self.options.get(option)
        return Path(value) if value is not None else None

    def number(self, option: str) -> int | None:
        """Return an option that is a whole number above 0; None if not given.

        Raises:
            AddressError: It is none.
        """
        return self._read(option, read_count)

    def shape(self, option: str) -> tuple[int, ...] | None:
        """Return an option that is a list of whole numbers above 0; None if not given.

        Raises:
            AddressError: It is none.
        """
        return self._read(option, read_shape)

    def numbers(self, option: str) -> tuple[float, ...] | None:
        """Return an option that is a list of finite numbers; None if not given.

        Raises:
            AddressError: It is none.
        """
        return self._read(option, read_numbers)

    def _read(self, option: str, read: Callable[[str], V]) -> V | None:
        value = self.options.get(option)
        if value is None:
            return None
        try:
            return read(value)
        except ValueError as error:
            raise AddressError(f"{shown(self.text)}: option {option} {error}") from None

    @property
    def values(self) -> dict[str, str]:
        """What `Scheme.write` makes the address from, by field."""
        factory = {FACTORY.name: self.factory} if self.factory else {}
        return {"name": self.name, **factory, **self.options}
