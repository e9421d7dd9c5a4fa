"""What the plan's table sends reaches the plan, each edit once, whenever a run is ended."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import streamlit as st
from streamlit.runtime.scriptrunner import StopException

from analysis import plans
from analysis.records import Plan
from pages.components.plan import table_editor, view
from pages.components.state import plan_state
from tests.pages.reading import SUBJECT


class Session(dict[str, Any]):
    """A session's state; the n-th access from now on ends the run, as when another is asked for."""

    left: int | None = None

    def _count(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise StopException

    def __getitem__(self, key: str) -> Any:
        self._count()
        return super().__getitem__(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._count()
        super().__setitem__(key, value)

    def get(self, key: str, default: Any = None) -> Any:
        self._count()
        return super().get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        self._count()
        return super().setdefault(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        self._count()
        return super().pop(key, *default)


@pytest.fixture
def state(workspace: object, monkeypatch: pytest.MonkeyPatch) -> Session:
    found = Session()
    monkeypatch.setattr(st, "session_state", found)
    monkeypatch.setattr(st, "query_params", {})
    return found


def new_plan() -> Plan:
    units = [("a", "a", 8), ("b", "b", 16)]
    return plans.new_plan(SUBJECT, fingerprint="f", units=units, criterion="l1")


def sent(*items: tuple[int, str, str, object], client: str = "a table") -> dict[str, object]:
    names = ("number", "key", "field", "value")
    return {"client": client, "items": [dict(zip(names, item, strict=True)) for item in items]}


def present() -> Plan:
    plan = plan_state.present()
    assert plan is not None
    return plan


def test_edits_of_the_table_are_applied_once_each(state: Session) -> None:
    """A table repeats an edit until it is told that the plan has it."""
    plan_state.begin(new_plan())
    first = (
        (1, "b", "ratio", 25.0),
        (2, "b", "criterion", "fpgm"),
        (3, "a", "locked", True),
    )
    assert plan_state.edit(sent(*first)) == ("a", "b")
    assert [entry.ratio for entry in present().entries] == [0.0, 0.25]
    assert [entry.kept for entry in present().entries] == [8, 12]
    assert [entry.criterion for entry in present().entries] == ["l1", "fpgm"]
    assert [entry.locked for entry in present().entries] == [True, False]
    assert plan_state.last_edit() == {"client": "a table", "number": 3}
    # Undone meanwhile: what is sent again stays undone, what is new arrives.
    plan_state.undo()
    assert plan_state.edit(sent((4, "a", "ratio", 50.0), *first)) == ("a",)
    assert [entry.ratio for entry in present().entries] == [0.5, 0.0]
    # Another table counts from one, and a layer that is gone changes nothing.
    plan_state.undo()
    edits = sent((1, "gone", "ratio", 5), (2, "a", "ratio", 5), client="b")
    assert plan_state.edit(edits) == ("a",)
    assert [entry.ratio for entry in present().entries] == [0.05, 0.0]


def test_an_edit_survives_the_end_of_its_run_at_any_moment(state: Session) -> None:
    """An edit was noted as applied before the plan had it: where the next rerun ended the callback
    in between, it was lost, and where it ended before, it waited for another edit.
    """
    for moment in itertools.count():
        dict.clear(state)
        plan_state.begin(new_plan())
        dict.__setitem__(state, table_editor.KEY, {"edits": sent((1, "b", "ratio", 25.0))})
        state.left, is_whole = moment, True
        try:
            table_editor.take()
        except StopException:
            is_whole = False
        # The next run finds the same edits, which are no change that calls the callback.
        state.left = None
        table_editor.take()
        assert plan_state.saved() == present()
        assert [entry.ratio for entry in present().entries] == [0.0, 0.25]
        past = plan_state.history()
        assert past is not None
        assert len(past.steps) == 2
        if is_whole:
            break
    assert moment > 5


def test_sliders_that_are_gone_change_nothing_when_they_are_sent_again(state: Session) -> None:
    """Edits of the table were overwritten by the focus panel's earlier sliders."""
    plan_state.begin(new_plan())
    state.update(slider_1=0.0, slider_2=50.0)
    view._slide("b", "slider_1", 0.0)
    assert [entry.ratio for entry in present().entries] == [0.0, 0.0]
    view._slide("b", "slider_2", 0.0)
    assert [entry.ratio for entry in present().entries] == [0.0, 0.5]
    plan_state.edit(sent((1, "b", "ratio", 25.0)))
    for widget in ("slider_1", "slider_2"):
        view._slide("b", widget, 0.0)
    assert [entry.ratio for entry in present().entries] == [0.0, 0.25]
    # The same slider goes on under the hand until its successor is drawn.
    state["slider_2"] = 75.0
    view._slide("b", "slider_2", 0.0)
    assert [entry.ratio for entry in present().entries] == [0.0, 0.75]
