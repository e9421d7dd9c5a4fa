"""A dashboard that asks for a token."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.reading import ROOT, text_of


def test_nothing_is_shown_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve --token`, as Jupyter has it."""
    monkeypatch.setenv("PRUNESCOPE_TOKEN", "s&1")
    test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    assert [item.label for item in test.text_input] == ["Token of this dashboard"]
    assert not test.button
    test.text_input[0].set_value("other").run()
    assert "This is not the token" in text_of(test)
    assert len(test.text_input) == 1
    test.text_input[0].set_value("s&1").run()
    assert "Token of this dashboard" not in [item.label for item in test.text_input]
    assert "PruneScope" in text_of(test)
    assert test.query_params["token"] in ("s&1", ["s&1"])


def test_the_address_that_was_printed_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNESCOPE_TOKEN", "s&1")
    test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    test.query_params["token"] = "s&1"
    test.run()
    assert "PruneScope" in text_of(test)
    assert "Token of this dashboard" not in [item.label for item in test.text_input]
