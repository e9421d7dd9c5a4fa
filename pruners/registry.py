"""What can be chosen by name: one class for criteria, strategies, repairs, formats and the like.

Command-line choices and help, page options and the lists in the docs come from registries. An entry
is one object with a name, a label, a help text and the functions that it needs; a new one is one
file that registers it, and one import of that file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

from pruners.errors import InputError, UnknownNameError


class Entry(Protocol):
    """What a registry holds."""

    @property
    def name(self) -> str:
        """Name in commands, files and tables."""

    @property
    def label(self) -> str:
        """Name on pages."""

    @property
    def help(self) -> str:
        """What it is, in plain words."""


E = TypeVar("E", bound=Entry)


class Registry(Generic[E]):
    """Entries by name, in the order in which they were registered.

    Args:
        kind: What an entry is, in the singular, for messages: ``"criterion"``.
        entries: The first entries.
        order: Sorts the entries instead; those that are equal stay in order of registration.
    """

    def __init__(
        self, kind: str, entries: Iterable[E] = (), *, order: Callable[[E], Any] | None = None
    ) -> None:
        self.kind = kind
        self._order = order
        self._entries: dict[str, E] = {}
        for entry in entries:
            self.register(entry)

    def register(self, entry: E) -> E:
        """Add an entry and return it.

        Raises:
            InputError: Its name is taken, or it has no name, label or help text.
        """
        if entry.name in self._entries:
            raise InputError(
                f"{self.kind} {entry.name!r} is registered already; known: "
                f"{', '.join(self.names())}"
            )
        if not (entry.name and entry.label and entry.help):
            raise InputError(f"{self.kind} {entry.name!r} needs a name, a label and a help text")
        self._entries[entry.name] = entry
        return entry

    def replace(self, entry: E) -> None:
        """Put an entry in the place of the one with its name.

        Raises:
            UnknownNameError: There is none.
        """
        self._entries[self.get(entry.name).name] = entry

    def remove(self, name: str) -> None:
        """Forget an entry.

        Raises:
            UnknownNameError: There is none of that name.
        """
        del self._entries[self.get(name).name]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Leave the registry as it was found: what is registered meanwhile is forgotten again."""
        before = dict(self._entries)
        try:
            yield
        finally:
            self._entries = before

    def get(self, name: str) -> E:
        """Return an entry.

        Raises:
            UnknownNameError: There is none of that name; the message lists those that exist.
        """
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """Return the names in order."""
        return tuple(entry.name for entry in self)

    def __iter__(self) -> Iterator[E]:
        entries = list(self._entries.values())
        return iter(entries if self._order is None else sorted(entries, key=self._order))

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries


def joined(words: Iterable[str]) -> str:
    """Return ``a, b or c``."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def described(entries: Iterable[Entry]) -> str:
    """Return ``name: help; name: help``."""
    return "; ".join(f"{entry.name}: {entry.help.rstrip('.')}" for entry in entries)
