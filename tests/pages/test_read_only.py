"""Pages on a workspace that can be read and not written: what can be shown is, the rest is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from analysis.edits.prepared import PreparedSubject
from analysis.plans.apply import start_plan
from analysis.plans.editing import set_ratio
from analysis.records import Plan
from analysis.store.connection import FILE
from analysis.store.store import Store
from pages.components.state.subject_cache import subjects
from pages.components.widgets.page_registry import PAGES
from tests.pages.reading import SUBJECT, Open, assert_no_bug, shown, text_of

Link = Callable[..., AppTest]
ALONE = "in this session alone"


@pytest.fixture
def plan(prepared: PreparedSubject, templates: dict[str, tuple[Path, str]]) -> Plan:
    return set_ratio(start_plan(prepared, criterion="l1", run=templates["done"][1]), "conv2", 0.5)


@pytest.fixture
def link(
    open_page: Open, workspace: Path, plan: Plan, templates: dict[str, tuple[Path, str]]
) -> Link:
    """Open a page by a link to a plan, in a workspace that is closed to writing unless told."""
    source, run_id = templates["done"]
    shutil.copytree(source, workspace)
    store = Store(workspace)
    plan_id = store.plans.save(plan, params_left=0.591, macs_left=0.655)
    store.close()

    def opened(title: str, *, is_writable: bool = False, **query: str) -> AppTest:
        if not is_writable:
            # SQLite cannot make its file: as in a folder without permission, but for anybody.
            (workspace / f"{FILE}-shm").symlink_to(workspace / "nowhere" / "at all")
        page = "Home" if title == "Home" else Path(PAGES[title].file).stem
        test = open_page(page, run=run_id, plan=plan_id, **query)
        assert_no_bug(test)
        return test

    return opened


def plans_of(workspace: Path) -> list[str]:
    store = Store(workspace)
    found = [row.plan_id for row in store.plans.saved()]
    store.close()
    return found


def sidebar(test: AppTest) -> list[str]:
    return [str(item.value) for item in (*test.sidebar.caption, *test.sidebar.markdown)]


@pytest.mark.parametrize("query", [{}, {"samples": "60", "calibration_samples": "24"}])
@pytest.mark.parametrize("title", PAGES)
def test_every_page_is_shown(title: str, query: dict[str, str], link: Link) -> None:
    """Of other samples than the plan was saved with, none of those that need the plan was."""
    test = link(title, **query)
    assert not test.error, [item.value for item in test.error]
    assert any("parameters  \n" in text for text in sidebar(test))
    needs_plan = title in ("Plan", "Evaluate", "Recover", "Export")
    told = [item.value for item in test.warning if ALONE in item.value]
    assert len(told) == (needs_plan and bool(query)) or title == "Plan"
    for text in told:
        assert "cannot be written" in text


def test_a_plan_is_edited_undone_and_measured_all_the_same(link: Link, workspace: Path) -> None:
    test = link("Plan", samples="60")
    assert [item.value.partition(" The")[0] for item in test.warning] == [
        "**This plan is in this session alone.**"
    ]
    assert any("not kept" in text for text in sidebar(test))
    # Other samples are no step that undo takes back.
    assert test.button(key="sidebar_undo").disabled
    before = {item.label: item.value for item in test.metric}
    assert before["Measured accuracy"].endswith("%")
    test.slider[0].set_value(50.0).run()
    assert_no_bug(test)
    assert {item.label: item.value for item in test.metric}["Parameters"] != before["Parameters"]
    test.button(key="sidebar_undo").click().run()
    assert {item.label: item.value for item in test.metric} == before
    assert len(plans_of(workspace)) == 1
    # Once it can be written again, the next step is kept.
    (workspace / f"{FILE}-shm").unlink()
    test.button(key="sidebar_redo").click().run()
    assert ALONE not in text_of(test)
    assert "not kept" not in "".join(sidebar(test))
    assert len(plans_of(workspace)) == 2


def test_an_evaluation_is_shown_where_it_cannot_be_kept(link: Link, workspace: Path) -> None:
    test = link("Evaluate")
    assert not test.warning
    test.button(key="evaluate_start").click().run()
    assert_no_bug(test)
    assert test.button(key="evaluate_start").label == "Evaluate again"
    assert [item.value[:47] for item in test.warning] == [
        "**These numbers are in this session alone.** Th"
    ]
    numbers = {item.label: item.value for item in test.metric}
    assert numbers["Accuracy"].endswith("%")
    # Once it can be written again, it is kept.
    (workspace / f"{FILE}-shm").unlink()
    test.button(key="evaluate_start").click().run()
    assert not test.warning
    assert {item.label: item.value for item in test.metric}["Accuracy"] == numbers["Accuracy"]


def test_a_sweep_that_cannot_be_started_is_one_line(link: Link) -> None:
    test = link("Sweep")
    test.button(key="sweep_start").click().run()
    assert_no_bug(test)
    (error,) = test.error
    assert "cannot be written" in shown(error.value)


@pytest.mark.parametrize("title", PAGES)
def test_the_plan_of_a_link_is_in_the_sidebar_of_every_page(title: str, link: Link) -> None:
    """Trade-off, Import, Runs, Plans and Home had none of it, nor Setup, Sweep and Curves."""
    test = link(title, is_writable=True)
    assert {"sidebar_undo", "sidebar_redo"} <= {item.key for item in test.sidebar.button}
    assert "Plan" in [item.value for item in test.sidebar.caption]
    (text,) = (text for text in sidebar(test) if "MACs" in text)
    assert text == (
        "**36.5\N{NO-BREAK SPACE}k** of 61.7\N{NO-BREAK SPACE}k parameters  \n"
        "**273\N{NO-BREAK SPACE}k** of 417\N{NO-BREAK SPACE}k MACs  \nnot repaired"
    )


def test_the_evaluation_of_a_link_is_known_before_its_subject_is_loaded(
    link: Link, workspace: Path
) -> None:
    link("Evaluate", is_writable=True).button(key="evaluate_start").click().run()
    # As in a new server.
    st.cache_resource.clear()
    test = link("Home", is_writable=True)
    assert subjects().peek(SUBJECT) is None
    (evaluate,) = (item for item in test.get("page_link") if "Evaluate" in item.proto.label)
    assert "done" in evaluate.proto.label
    # Of other samples it says nothing.
    test = link("Home", is_writable=True, samples="60")
    (evaluate,) = (item for item in test.get("page_link") if "Evaluate" in item.proto.label)
    assert evaluate.proto.label == "Evaluate"


def test_every_field_of_a_training_says_what_it_does(link: Link) -> None:
    """19 of 24 did not: its temperature, batches a step, patience and others."""
    test = link("Recover", is_writable=True)
    test.selectbox(key="recover_quick_method").select("gmp").run()
    assert_no_bug(test)
    kinds = ("number_input", "selectbox", "text_input", "button_group")
    fields = [item for kind in kinds for item in test.get(kind)]
    assert len(fields) > 28
    assert not [item.proto.label for item in fields if not item.proto.help]
