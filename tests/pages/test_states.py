"""What a page says when something fails."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest


def page_that_raises(kind: str) -> None:
    import torch

    from pages.components.widgets.states import guarded
    from pruners.errors import StoreFullError

    with guarded("The subject cannot be loaded"):
        if kind == "memory":
            torch.empty(2**50)
        if kind == "disk":
            raise StoreFullError("the disk of the workspace is full")
        raise KeyError("a layer that is called memory")


@pytest.mark.parametrize(
    ("kind", "title", "caption"),
    [
        ("memory", "The subject cannot be loaded", "A smaller batch size"),
        ("disk", "The subject cannot be loaded", "Check that the workspace folder exists"),
        ("bug", "This is a bug of PruneScope", ""),
    ],
)
def test_an_error_is_told_by_its_kind_not_by_its_words(kind: str, title: str, caption: str) -> None:
    test = AppTest.from_function(page_that_raises, args=(kind,)).run()
    assert not test.exception
    assert [item.proto.title for item in test.error] == [title]
    assert [item.value[: len(caption)] for item in test.caption] == [caption] * bool(caption)
