"""What the page's address carries, so that every view can be shared as a link.

Widgets come and go with their pages; what they choose lives under keys of its own in the session
and in the query string. An address that a person edited or an old link may say anything: what
cannot be read falls back to the default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

import streamlit as st

from analysis.curves import DROP
from analysis.records import SubjectSpec
from pages.components.state.shared_subject import NAMES, parameters

PREFIX = "address_"
SUBJECT = "address_subject"
# Parameters that name something with a subject of its own.
NAMING = ("plan", "run")
# For which of them, and for which subject, the subject was written.
WRITTEN_FOR = "address_subject_for"
# How far charts of drops reach.
REACHES = ("near the tolerance", "whole range")
CURVE_VIEWS = ("Curves", "Matrix", "Ranking", "Map", "Opportunities")
COMPARE_VIEWS = ("Best or tied", "Layer by layer", "Removed channels")


def _number(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(text)
        return value

    return read


def _one_of(names: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise ValueError(text)
        return text

    return read


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that links carry.

    Attributes:
        default: Its value when the address does not say; left out of links.
        read: Parses it, ValueError on nonsense.
    """

    default: Any
    read: Callable[[str], Any]


PARAMETERS: Mapping[str, Parameter] = {
    "run": Parameter(None, str),
    "plan": Parameter(None, str),
    "goal": Parameter(None, str),
    "training": Parameter(None, str),
    "metric": Parameter(DROP, str),
    "tolerance": Parameter(None, _number(0, 100)),
    "criterion": Parameter(None, str),
    "layer": Parameter(None, str),
    "beside": Parameter(None, str),
    "view": Parameter("Curves", _one_of(CURVE_VIEWS)),
    "axis": Parameter("achieved", _one_of(("achieved", "asked"))),
    "layers": Parameter("", str),
    "block": Parameter("", str),
    "reach": Parameter(REACHES[0], _one_of(REACHES)),
    "compare": Parameter(COMPARE_VIEWS[0], _one_of(COMPARE_VIEWS)),
}


def restore() -> None:
    """Take over what the address says; call once at the start of each page."""
    for name, parameter in PARAMETERS.items():
        if name in st.query_params:
            try:
                st.session_state[PREFIX + name] = parameter.read(st.query_params[name])
            except ValueError:
                put(name, parameter.default)
        elif value(name) != parameter.default:
            st.query_params[name] = str(value(name))
    if "model" not in st.query_params:
        for name, text in _subject().items():
            st.query_params[name] = text


def value(name: str) -> Any:
    """Return the present value of a parameter."""
    return st.session_state.get(PREFIX + name, PARAMETERS[name].default)


def put(name: str, chosen: Any) -> None:
    """Choose a value: in the session and in the address."""
    st.session_state[PREFIX + name] = chosen
    if chosen == PARAMETERS[name].default:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = str(chosen)
    if name in NAMING:
        st.session_state.pop(WRITTEN_FOR, None)


def _subject() -> dict[str, str]:
    found: dict[str, str] = st.session_state.get(SUBJECT, {})
    return found


def put_subject(spec: SubjectSpec | None, named: SubjectSpec | None = None) -> None:
    """Put a subject in the address.

    Args:
        spec: The subject; None where the run in the address has it already.
        named: That of the plan or run in the address.
    """
    for name in NAMES:
        st.query_params.pop(name, None)
    st.session_state[SUBJECT] = parameters(spec, named) if spec is not None else {}
    for name, text in _subject().items():
        st.query_params[name] = text


def has_other_subject() -> bool:
    """Say whether the address has another subject than this session wrote there."""
    return {name: st.query_params[name] for name in NAMES if name in st.query_params} != _subject()


def carried(**changes: Any) -> dict[str, str]:
    """Return the query parameters that a link to another page needs."""
    values = {name: value(name) for name in PARAMETERS} | changes
    kept = {
        name: str(chosen)
        for name, chosen in values.items()
        if chosen is not None and chosen != PARAMETERS[name].default
    }
    return _subject() | kept


def link() -> str:
    """Return the full address of this view."""
    base = (st.context.url or "").split("?")[0]
    query = urlencode(carried())
    return f"{base}?{query}" if query else base


def _take(name: str, key: str, unset: Any = None) -> None:
    chosen = st.session_state[key]
    # A segmented control that is clicked twice gives None: the choice stays.
    if chosen is not None:
        put(name, None if chosen == unset else chosen)
    else:
        st.session_state[key] = value(name)


def _widget_key(name: str, options: Sequence[Any] | None = None) -> str:
    key = f"choose_{name}"
    current = value(name)
    if options is not None and current not in options:
        current = options[0]
    st.session_state[key] = current
    return key


def text(name: str, label: str, **options: Any) -> str:
    """Draw a text field for a parameter."""
    key = _widget_key(name)
    return str(st.text_input(label, key=key, on_change=_take, args=(name, key), **options))


def number(name: str, label: str, *, unset: float, **options: Any) -> None:
    """Draw a number field for a parameter; ``unset`` is what an address without it means."""
    key = _widget_key(name)
    if st.session_state[key] is None:
        st.session_state[key] = unset
    st.number_input(label, key=key, on_change=_take, args=(name, key, unset), **options)


def choice(
    name: str,
    label: str,
    options: Sequence[Any],
    *,
    kind: Literal["selectbox", "segmented"] = "selectbox",
    **more: Any,
) -> Any:
    """Draw a choice for a parameter; an address that names no option means the first."""
    key = _widget_key(name, options)
    common = {"key": key, "on_change": _take, "args": (name, key), **more}
    if kind == "selectbox":
        chosen = st.selectbox(label, options, **common)
    else:
        chosen = st.segmented_control(label, options, **common)
    return chosen if chosen is not None else value(name)
