"""A subject as parameters of a link: what is usual is left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from analysis.records import DEFAULT_TASK, SubjectSpec
from analysis.subjects import usual_task
from pruners.errors import InputError, PruneScopeError

USUAL = {item.name: item.default for item in dataclasses.fields(SubjectSpec)}
NUMBERS = {item.name for item in dataclasses.fields(SubjectSpec) if "int" in str(item.type)}
# Separates paths; a file's name may not have it.
SEPARATOR = "\n"


def parameters(spec: SubjectSpec) -> dict[str, str]:
    """Return the parameters that stand for a subject."""
    found = {}
    for name, usual in USUAL.items():
        value = getattr(spec, name)
        if value != usual:
            found[name] = SEPARATOR.join(value) if isinstance(value, tuple) else str(value)
    if spec.task != task_of(spec.data):
        found["task"] = spec.task
    return found


def task_of(data: str | None) -> str:
    """Return the task that data are for; of an address that is malformed, the usual one."""
    try:
        return usual_task(data)
    except PruneScopeError:
        # Loading it says what is wrong.
        return DEFAULT_TASK


def subject_of(given: Mapping[str, str]) -> SubjectSpec | None:
    """Return the subject that a link names; None if it names none.

    Args:
        given: Parameters of the link, others too.

    Raises:
        InputError: A number is none, or out of its range.
    """
    if not given.get("model"):
        return None
    values: dict[str, object] = {"task": task_of(given.get("data"))}
    for name, usual in USUAL.items():
        if name not in given:
            continue
        text = given[name]
        if isinstance(usual, tuple):
            values[name] = tuple(text.split(SEPARATOR))
        elif name in NUMBERS:
            values[name] = _number(name, text)
        else:
            values[name] = text
    return SubjectSpec(**values)  # type: ignore[arg-type]


def _number(name: str, text: str) -> int:
    # Longer ones are refused by int itself, with advice for programmers.
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        shown = text if len(text) < 40 else f"{text[:40]}..."
        raise InputError(f"the link's {name} must be a whole number, found {shown!r}")
    return int(text)
