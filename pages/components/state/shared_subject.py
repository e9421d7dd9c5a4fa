"""A subject as parameters of a link: what goes without saying is left out.

That is what the plan or run has that the link names, where it is of the same model and data; else
what is usual for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from analysis.records import DEFAULT_TASK, SubjectSpec
from analysis.subjects import usual_subject, usual_task
from pruners.errors import InputError, PruneScopeError

_FIELDS = {item.name: item for item in dataclasses.fields(SubjectSpec)}
NAMES = tuple(_FIELDS)
NUMBERS = {name for name, item in _FIELDS.items() if "int" in str(item.type)}
# Fields that may be None, which an empty text stands for.
OPTIONAL = {name for name, item in _FIELDS.items() if "None" in str(item.type)}
PATHS = "criterion_files"
# What makes another subject of it.
PLACES = ("model", "data")
# Texts that are none if they are empty.
WORDS = {"model", "task", "device"}
# Separates paths; a file's name may not have it.
SEPARATOR = "\n"


def parameters(spec: SubjectSpec, named: SubjectSpec | None = None) -> dict[str, str]:
    """Return the parameters that stand for a subject.

    Args:
        spec: The subject.
        named: That of the plan or run that the link names as well: what differs from it is
            written even if it is usual.
    """
    usual = dataclasses.replace(
        usual_subject(spec.model, spec.data, task=spec.task), task=task_of(spec.data)
    )
    found = {"model": spec.model}
    if spec.data is not None:
        found["data"] = spec.data
    for name in NAMES:
        value = getattr(spec, name)
        if any(value != getattr(other, name) for other in (usual, named or usual)):
            found[name] = _written(value)
    return found


def _written(value: Any) -> str:
    if value is None:
        return ""
    return SEPARATOR.join(value) if isinstance(value, tuple) else str(value)


def task_of(data: str | None) -> str:
    """Return the task that data are for; of an address that is malformed, the usual one."""
    try:
        return usual_task(data)
    except PruneScopeError:
        # Loading it says what is wrong.
        return DEFAULT_TASK


def subject_of(given: Mapping[str, str], named: SubjectSpec | None = None) -> SubjectSpec | None:
    """Return the subject that a link names; None if it names none.

    Args:
        given: Parameters of the link, others too.
        named: The subject of the plan or run that the link names as well.

    Raises:
        InputError: A number is none, or out of its range, or there is no such task.
    """
    texts = {name: given[name] for name in NAMES if given.get(name) or name in given.keys() - WORDS}
    if not texts or (named is None and "model" not in texts):
        return None
    said = {name: _read(name, text) for name, text in texts.items()}
    if named is not None:
        if _is_of(named, said):
            return dataclasses.replace(named, **said)
        said = {"model": named.model} | said
    model, data = said["model"], said.get("data")
    start = usual_subject(model, data, task=said.get("task") or task_of(data))
    return dataclasses.replace(start, **said)


def _is_of(named: SubjectSpec, said: Mapping[str, Any]) -> bool:
    """Say whether model and data, as far as they are said, are those of a subject."""
    return all(said.get(name, getattr(named, name)) == getattr(named, name) for name in PLACES)


def _read(name: str, text: str) -> Any:
    if name == PATHS:
        return tuple(filter(None, text.split(SEPARATOR)))
    if name in OPTIONAL and not text:
        return None
    return _number(name, text) if name in NUMBERS else text


def _number(name: str, text: str) -> int:
    # Longer ones are refused by int itself, with advice for programmers.
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        shown = text if len(text) < 40 else f"{text[:40]}..."
        raise InputError(f"the link's {name} must be a whole number, found {shown!r}")
    return int(text)
