"""The records that pass between modules, processes and files: frozen, versioned, JSON."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Self

from pruners.errors import InputError

SCHEMA_VERSION = 1


class Record:
    """Base of the frozen dataclasses that are written as JSON objects."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; tuples become lists."""
        return {
            item.name: _plain(getattr(self, item.name))
            for item in dataclasses.fields(self)  # type: ignore[arg-type]
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Build the record from what `to_dict` wrote.

        Raises:
            InputError: Unknown or missing fields, or a newer schema version.
        """
        if not isinstance(data, dict):
            raise InputError(f"{cls.__name__}: expected a JSON object, found {type(data).__name__}")
        fields = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(data) - set(fields))
        if unknown:
            raise InputError(f"{cls.__name__}: unknown field(s) {', '.join(unknown)}")
        version = data.get("schema_version", SCHEMA_VERSION)
        if "schema_version" in fields and version != SCHEMA_VERSION:
            raise InputError(
                f"{cls.__name__}: schema version {version!r} found, this program reads "
                f"{SCHEMA_VERSION}"
            )
        hints = typing.get_type_hints(cls)
        try:
            return cls(**{name: _typed(hints[name], value) for name, value in data.items()})
        except TypeError as error:
            raise InputError(f"{cls.__name__}: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _typed(hint: Any, value: Any) -> Any:
    """Turn JSON lists and objects back into the tuples and records that ``hint`` names."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _typed(next(item for item in arguments if item is not type(None)), value)
    if origin is tuple and isinstance(value, list | tuple):
        inner = arguments[0] if len(arguments) == 2 and arguments[1] is Ellipsis else None
        if inner is not None:
            return tuple(_typed(inner, item) for item in value)
        return tuple(_typed(kind, item) for kind, item in zip(arguments, value, strict=True))
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.from_dict(value)
    return value
