"""What the dashboard's server loads before anybody asks for a page."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.runtime import RuntimeState

from analysis.subjects.models import wrapped
from pages.components import server


class Started:
    """A runtime that is up when it was asked for the third time."""

    asked = 0

    @classmethod
    def exists(cls) -> bool:
        cls.asked += 1
        return cls.asked > 1

    @classmethod
    def instance(cls) -> type[Started]:
        return cls

    # As Streamlit's property, of the class.
    class _State:
        def __get__(self, _: object, owner: type[Started]) -> RuntimeState:
            started = RuntimeState.NO_SESSIONS_CONNECTED
            return started if owner.asked > 2 else RuntimeState.INITIAL

    state = _State()


def test_pages_are_loaded_while_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opened the first page waited for all of its imports."""
    Started.asked = 0
    loaded: list[str] = []

    def load(name: str) -> None:
        assert Started.asked == 3, "loaded before the server was up"
        loaded.append(name)
        raise RuntimeError("told by the page that needs it")

    monkeypatch.setattr(server, "Runtime", Started)
    monkeypatch.setattr(server, "importlib", SimpleNamespace(import_module=load))
    server.load()
    assert loaded[:2] == ["pages.components.home", "pages.components.frame.shell"]
    assert all(find_spec(name) for name in loaded)
    # A page that was opened first after an update met the modules from before it.
    folder = Path(server.__file__).parent
    files = {file.relative_to(folder).with_suffix("") for file in folder.rglob("*.py")}
    names = {".".join(("pages.components", *file.parts)) for file in files}
    assert set(loaded) == {name.removesuffix(".__init__") for name in names} - {"pages.components"}


def test_what_torch_imports_in_a_circle_is_loaded_with_the_first_page() -> None:
    """Two threads that entered it at two places left each page with an ImportError, for good."""
    assert vars(wrapped)["OptimizedModule"] is sys.modules["torch._dynamo"].OptimizedModule


def test_nothing_is_loaded_for_a_server_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A taken port ends it before it is up: the process must not wait for it for ever."""
    loaded: list[str] = []
    monkeypatch.setattr(server, "is_serving", lambda: False)
    monkeypatch.setattr(server, "importlib", SimpleNamespace(import_module=loaded.append))
    server.load()
    assert not loaded
