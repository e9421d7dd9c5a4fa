"""The records that pass between modules, processes and files: frozen, checked, JSON.

A record is a `Document` or a part of one. What is written to a file, kept in the workspace or
printed by ``--json`` as a whole is a document and carries its ``schema_version``, also where it
stands inside another document. A part carries none: it changes with the documents around it.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from analysis.records.codec import decode, parse_json, shown
from pruners.errors import InputError

VERSION = "schema_version"
MAX_NAMES = 5
NO_REPAIR = "none"
# Metadata of a field that is carried in memory alone: files and JSON know nothing of it.
UNWRITTEN = {"unwritten": True}


class Record:
    """Base of the frozen dataclasses that are written as JSON objects."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary: tuples are lists, whole fractions are floats.

        So what was made here is written as what was read: names are digests of it.
        """
        kind: Any = type(self)
        reals = _real_fields(kind)
        return {name: _plain(getattr(self, name), name in reals) for name in _fields(kind)[0]}

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Build the record from what `to_dict` wrote.

        Raises:
            InputError: Unknown or missing fields, values of other types or out of range, or a newer
                schema version; one line that names the place.
        """
        return decode(cls, _current(cls, data, cls.__name__), name=cls.__name__)

    @classmethod
    def fields_of(cls, data: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        """Return the values by field from what `to_dict` wrote; not checked yet.

        A record that overrides `to_dict` overrides it as well.

        Args:
            data: A JSON object, to be left as it is.
            where: The record's place, for messages.
        """
        return data


class Document(Record):
    """A record that is written as a whole.

    Attributes:
        schema_version: Raised by a change that older programs, or this one, would read wrongly; it
            needs a step in `migrate`. A field that is new and has a default needs neither.
    """

    __slots__ = ()
    schema_version: ClassVar[int] = 1

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; its schema version comes first."""
        return {VERSION: self.schema_version, **super().to_dict()}

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the document as JSON text."""
        return json.dumps(self.to_dict(), indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Build the document from what `to_json` wrote.

        Raises:
            InputError: As `from_dict`; or it is not JSON.
        """
        return cls.from_dict(parse_json(text, name=cls.__name__))

    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Return a document of the next schema version; its parts are included.

        Args:
            data: The document of ``version`` as it was read, nothing checked; to be left as it is.
                What was written before documents had versions is of version 1.
            version: From 1 up to the present version - 1.
        """
        raise NotImplementedError(f"{cls.__name__} has no step from schema version {version}")

    @classmethod
    def fields_of(cls, data: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        """Return the values by field, in the present schema version.

        Raises:
            InputError: The version is newer, or none, or the document is not of its version.
        """
        version = data.get(VERSION, 1)
        if type(version) is not int or version < 1:
            raise InputError(f"{where}.{VERSION}: expected int >= 1, found {shown(version)}")
        if version > cls.schema_version:
            raise InputError(
                f"{where}: written by a newer program (schema version {version}, this one reads up "
                f"to {cls.schema_version}); update PruneScope"
            )
        fields: dict[str, Any] = {name: data[name] for name in data if name != VERSION}
        for older in range(version, cls.schema_version):
            try:
                fields = cls.migrate(fields, older)
            except (LookupError, TypeError, ValueError, AttributeError):
                raise InputError(f"{where}: no valid document of schema version {older}") from None
        return fields


class GroupOrLayer:
    """What is pruned in one piece: the units of a group, or the weights of one layer."""

    __slots__ = ()
    layer: str
    group: str | None

    @property
    def name(self) -> str:
        """The group's id where there is one, else the layer's name."""
        return self.layer if self.group is None else self.group


class Recovered:
    """What says how a pruned model was repaired, or trained."""

    __slots__ = ()
    repair: str
    trained: str

    @property
    def recovered_by(self) -> str:
        """The training if there is one, else the repair: ``none``, ``lsq``, ``finetune, 3 epochs``.

        For a column of a table, or behind "after".
        """
        return self.trained or self.repair

    @property
    def recovery_words(self) -> str:
        """The same behind a model: not repaired, repaired by lsq, trained: finetune, 3 epochs."""
        if self.trained:
            return f"trained: {self.trained}"
        return "not repaired" if self.repair == NO_REPAIR else f"repaired by {self.repair}"

    @property
    def is_recovered(self) -> bool:
        """Whether anything was done about the loss."""
        return bool(self.trained) or self.repair != NO_REPAIR


def _plain(value: Any, is_real: bool) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [_plain(item, is_real) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item, is_real) for key, item in value.items()}
    return float(value) if is_real and type(value) is int else value


@functools.cache
def _real_fields(kind: Any) -> frozenset[str]:
    """Return the written fields of a record whose numbers may all be fractions."""
    leaves = {name: set(_leaves(hint)) for name, hint in _fields(kind)[0].items()}
    return frozenset(name for name, found in leaves.items() if float in found and int not in found)


def _leaves(hint: Any) -> Iterator[Any]:
    """Yield the types that a type is made of; not what it is annotated with."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        yield hint
    elif origin is not typing.Literal:
        for item in inner[:1] if origin is typing.Annotated else inner:
            yield from _leaves(item)


def _current(kind: Any, value: Any, where: str) -> Any:
    """Return a value with the fields of its records checked by name, in the present version."""
    inner = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, Record):
        return _checked(kind, value, where) if isinstance(value, Mapping) else value
    if not _has_parts(kind):
        return value
    if origin in (typing.Union, types.UnionType):
        for item in inner:
            value = _current(item, value, where)
    elif origin is tuple and isinstance(value, list | tuple):
        return [_current(inner[0], item, f"{where}[{at}]") for at, item in enumerate(value)]
    elif origin in (dict, Mapping) and isinstance(value, Mapping):
        return {key: _item(inner[1], item, f"{where}[{shown(key)}]") for key, item in value.items()}
    return value


def _item(kind: Any, value: Any, where: str) -> Any:
    """Return a value of a mapping, checked: the library does not say which key has a fault."""
    found = _current(kind, value, where)
    decode(kind, found, name=where)
    return found


def _checked(kind: Any, value: Mapping[str, Any], where: str) -> dict[str, Any]:
    hints, required = _fields(kind)
    given = kind.fields_of(value, where)
    faults = [
        f"{what} field{'s' * (len(names) > 1)} {_listed(names)}"
        for what, names in (
            ("missing", [name for name in required if name not in given]),
            ("unknown", [str(name) for name in given if name not in hints]),
        )
        if names
    ]
    if faults:
        raise InputError(f"{where}: {', '.join(faults)}")
    return {name: _current(hints[name], item, f"{where}.{name}") for name, item in given.items()}


def _listed(names: list[str]) -> str:
    first = ", ".join(name if name.isidentifier() else shown(name) for name in names[:MAX_NAMES])
    return first + (f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")


@functools.cache
def _fields(kind: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the types of a record's written fields by name, and those that must be given."""
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = [item for item in dataclasses.fields(kind) if "unwritten" not in item.metadata]
    missing = dataclasses.MISSING
    return {item.name: hints[item.name] for item in fields}, tuple(
        item.name for item in fields if item.default is missing and item.default_factory is missing
    )


@functools.cache
def _has_parts(kind: Any) -> bool:
    """Return whether a type holds records or mappings: most fields need not be gone through."""
    if typing.get_origin(kind) in (dict, Mapping):
        return True
    return (isinstance(kind, type) and issubclass(kind, Record)) or any(
        _has_parts(item) for item in typing.get_args(kind)
    )
