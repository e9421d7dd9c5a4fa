"""The fields of an address: drawn as they are declared, with files to pick or to upload."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from analysis.sentences import capital
from analysis.store import MAX_UPLOAD_BYTES, save_upload
from analysis.subjects.fields import FACTORY, Field, find_folders, find_functions, find_matching
from pages.components.setup.draft import NOTHING, Draft, Part
from pages.components.state import session
from pages.components.widgets import formatting
from pruners.errors import InputError, PruneScopeError
from pruners.user_code import resolved

# What takes the whole width.
ALONE, PATHS = ("name", "factory"), ("file", "folder")


def draft_of(part: Part) -> Draft:
    """Return what the form holds of an address."""
    found: Draft = st.session_state[_key(part)]
    return found


def put(part: Part, draft: Draft) -> None:
    """Let the form hold another address."""
    st.session_state[_key(part)] = draft


def _key(part: Part, name: str = "draft") -> str:
    return f"setup_{part.name}_{name}"


def draw(part: Part) -> str:
    """Draw the kind, the fields and the address; return the address."""
    draft = draft_of(part)
    with st.container(border=True, height="stretch"):
        st.selectbox(
            part.name.capitalize(),
            part.kinds,
            format_func=lambda kind: (
                part.nothing if kind == NOTHING else part.schemes.get(kind).label
            ),
            on_change=_choose,
            args=(part,),
            **_bound(_key(part, "kind"), draft.kind),
        )
        if draft.kind != NOTHING:
            scheme = part.schemes.get(draft.kind)
            st.caption(scheme.help)
            wide = [item for item in scheme.fields if item.name in ALONE or item.kind in PATHS]
            for item in wide:
                _field(part, draft, item)
            with st.grid(2, min_column_width=150, gap="small"):
                for item in scheme.fields:
                    if item not in wide:
                        with st.container():
                            _field(part, draft, item)
        else:
            st.caption(part.without)
        st.text_input(
            f"{part.name.capitalize()} address",
            on_change=_type,
            args=(part,),
            help="What the fields come to, as the command line takes it. It can be edited, too.",
            **_bound(_key(part, "address"), draft.text(part)),
        )
        if draft.typed:
            _say_unreadable(part, draft)
    return draft.text(part)


def _say_unreadable(part: Part, draft: Draft) -> None:
    try:
        part.parse(draft.typed)
    except PruneScopeError as error:
        st.caption(f":red[:material/error: {formatting.message(str(error))}]")


def _bound(key: str, value: Any) -> dict[str, Any]:
    """Give a widget its value; the draft is what counts."""
    st.session_state[key] = value
    return {"key": key}


def _field(part: Part, draft: Draft, item: Field) -> None:
    value = draft.value(item.name)
    key = _key(part, f"{draft.kind}_{item.name}")
    common: dict[str, Any] = {
        "help": item.help or None,
        "on_change": _enter,
        "args": (part, item, key),
    }
    known = _known(item, draft)
    if known is None:
        st.text_input(item.label, placeholder=item.unset, **common, **_bound(key, value))
    else:
        offered = [*known, *([value] if value and value not in known else [])]
        st.selectbox(
            item.label,
            offered,
            index=None,
            accept_new_options=True,
            placeholder=item.unset or "choose or type",
            **common,
            **_bound(key, value or None),
        )
    if value and (problem := item.problem(value)):
        st.caption(f":red[:material/error: {item.label} {problem}]")
    if item.uploads:
        _upload(part, item, key)


def _known(item: Field, draft: Draft) -> Sequence[str] | None:
    """Return what to offer for a field; None for what is only typed."""
    if item.kind == "file":
        return _files(session.roots(), item.suffixes)
    if item.kind == "folder":
        return _folders(session.roots())
    if item.name == FACTORY.name:
        path = _allowed(draft.value("name"))
        return () if path is None else find_functions(path)
    return _names(draft.kind, item.label, item) or None


def _allowed(name: str) -> Path | None:
    """Return the path of what was typed, if it lies below the allowed folders."""
    try:
        path = resolved(name)
    except InputError:
        return None
    return path if any(path.is_relative_to(resolved(root)) for root in session.roots()) else None


@st.cache_data(ttl=10, max_entries=64, show_spinner=False)
def _files(roots: tuple[Path, ...], suffixes: tuple[str, ...]) -> list[str]:
    return find_matching(roots, suffixes)


@st.cache_data(ttl=10, max_entries=8, show_spinner=False)
def _folders(roots: tuple[Path, ...]) -> list[str]:
    return find_folders(roots)


@st.cache_data(max_entries=32, show_spinner="Listing what there is")
def _names(kind: str, label: str, _item: Field) -> list[str]:
    return list(_item.known())


def _choose(part: Part) -> None:
    put(part, draft_of(part).with_kind(st.session_state[_key(part, "kind")] or NOTHING))


def _type(part: Part) -> None:
    put(part, draft_of(part).with_text(st.session_state[_key(part, "address")], part))


def _enter(part: Part, item: Field, key: str) -> None:
    put(part, draft_of(part).with_value(item.name, str(st.session_state[key] or "").strip()))


def _upload(part: Part, item: Field, key: str) -> None:
    with st.popover("Upload", icon=":material/upload:", type="tertiary"):
        st.caption(
            "Kept in this workspace; read as plain arrays and tensors, never run or unpickled."
        )
        st.file_uploader(
            f"{item.label}: {', '.join(item.suffixes)}",
            type=[suffix.lstrip(".") for suffix in item.suffixes],
            max_upload_size=MAX_UPLOAD_BYTES // 2**20,
            key=f"{key}_upload",
            on_change=_keep,
            args=(part, item, f"{key}_upload"),
        )
        if refused := st.session_state.get(f"{key}_upload_refused"):
            st.error(formatting.message(capital(refused)), icon=":material/error:")


def _keep(part: Part, item: Field, key: str) -> None:
    sent = st.session_state[key]
    st.session_state.pop(f"{key}_refused", None)
    if sent is None:
        return
    try:
        path = save_upload(session.workspace(), sent.name, sent.getvalue(), suffixes=item.suffixes)
    except PruneScopeError as error:
        st.session_state[f"{key}_refused"] = str(error)
        return
    _files.clear()
    put(part, draft_of(part).with_value(item.name, str(path)))
