"""Plans that are kept: the list, the links to them, their evaluations, two side by side."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from analysis.edits.prepared import PreparedSubject
from analysis.evaluation.session import LoadedSubject
from analysis.store.store import Store
from pages.components.state.subject_cache import subjects
from pages.components.widgets.formatting import escaped
from tests.pages.reading import SUBJECT, Open, assert_no_bug, shown, text_of
from tests.pages.test_flow import before_repair, fill_uniform, metric, present


@pytest.mark.parametrize("page", ["3_Curves", "5_Plan", "6_Evaluate"])
def test_a_link_to_an_unknown_plan_says_so_and_offers_a_way_on(page: str, open_page: Open) -> None:
    """An empty plan was opened without a word."""
    test = open_page(page, "done", plan="p-zzzz")
    assert_no_bug(test)
    assert "p-zzzz" in shown(test.error[0].value)
    test.button(key="broken_fresh").click().run()
    assert not test.error
    assert test.query_params.get("plan") != "p-zzzz"


def test_an_unknown_plan_offers_those_that_exist(open_page: Open, workspace: Path) -> None:
    first = open_page("5_Plan", "done")
    # Who only looks leaves no plan behind.
    assert "plan" not in first.query_params
    assert Store(workspace).plans.saved() == ()
    fill_uniform(first, 50)
    name = first.query_params["plan"]
    Store(workspace).plans.rename(name, "half of it")
    second = open_page("5_Plan", plan="p-zzzz")
    (button,) = (item for item in second.button if item.label == "Open plan half of it")
    button.click().run()
    assert_no_bug(second)
    assert second.query_params["plan"] == name
    assert {entry.ratio for entry in present(second).plan.entries} == {0.5}


def test_an_evaluation_is_there_after_a_restart_and_in_another_browser(
    open_page: Open, prepared: PreparedSubject, workspace: Path
) -> None:
    """Evaluations were lost on a refresh."""
    test = open_page("5_Plan", "done")
    fill_uniform(test, 50)
    test.switch_page("pages/6_Evaluate.py").run()
    test.button(key="evaluate_start").click().run()
    shown = metric(test, "Accuracy after lsq")
    query = dict(test.query_params)
    store = Store(workspace)
    identity = prepared.identity
    assert len(store.evaluations.all(identity)) == 1
    (button,) = (item for item in test.get("download_button") if item.proto.label == "Report")
    assert not button.proto.disabled
    assert [item.plan.repair for item in store.measurements.all(identity)].count("lsq") == 1
    st.cache_data.clear()
    st.cache_resource.clear()
    subjects().put(SUBJECT, LoadedSubject(prepared))
    again = AppTest.from_file(test._script_path, default_timeout=60)
    for key, value in query.items():
        again.query_params[key] = value
    again.switch_page("pages/6_Evaluate.py").run()
    assert_no_bug(again)
    assert metric(again, "Accuracy after lsq") == shown
    again.selectbox(key="plan_repair").select("none").run()
    assert "These numbers are of the model repaired by lsq" in text_of(again)
    again.button(key="evaluate_start").click().run()
    assert_no_bug(again)
    assert "All evaluated plans of this subject" in text_of(again)
    again.selectbox(key="plan_repair").select("lsq").run()
    assert metric(again, "Accuracy after lsq") == shown


def test_what_is_not_predicted_is_a_sentence_and_no_empty_chart(open_page: Open) -> None:
    """On a telephone it was a screen of nothing."""
    test = open_page("5_Plan", subject=SUBJECT)
    fill_uniform(test, 50)
    test.switch_page("pages/6_Evaluate.py").run()
    test.button(key="evaluate_start").click().run()
    test.selectbox(key="plan_repair").select("none").run()
    test.button(key="evaluate_start").click().run()
    assert_no_bug(test)
    assert "All evaluated plans of this subject" in text_of(test)
    said = "No measured plan is predicted by curves after its repair"
    assert said in text_of(test)
    assert not [item for item in test.get("plotly_chart") if said in str(item.proto.spec)]


def test_plans_are_listed_named_opened_compared_and_deleted(
    open_page: Open, workspace: Path, prepared: PreparedSubject
) -> None:
    """No name, no list, no two side by side."""
    test = open_page("5_Plan", "done")
    fill_uniform(test, 50)
    store = Store(workspace)
    (half,) = store.plans.saved()
    assert half.macs_left is not None
    assert 0.2 < half.macs_left < 0.8
    quarter = store.plans.save(dataclasses.replace(half.plan, repair="none", strategy="manual"))
    # As after a restart of the server: no subject is in memory.
    st.cache_resource.clear()
    listed = open_page("9_Plans", plan=half.plan_id)
    assert_no_bug(listed)
    table = listed.dataframe[0].value.set_index("plan")
    assert table.loc[half.plan_id, "strategy"] == "uniform"
    assert table.loc[half.plan_id, "macs"].startswith(f"{100 * half.macs_left:.1f}")
    assert table.loc[half.plan_id, "measured"].startswith(
        metric(test, "Measured accuracy after lsq")
    )
    # Plan measured the same before its repair; an evaluation it has none.
    assert table.loc[quarter, "measured"].startswith(f"{before_repair(test):.2f}")
    assert store.evaluations.last(store.plans.get(quarter)) is None
    subjects().put(SUBJECT, LoadedSubject(prepared))
    listed.selectbox(key="plans_pick").select_index(0).run()
    listed.text_input(key=f"plans_name_{quarter}").set_value("*raw* $x$").run()
    listed.text_input(key=f"plans_note_{quarter}").set_value("before repair").run()
    saved = store.plans.saved_as(quarter)
    assert (saved.name, saved.note) == ("*raw* $x$", "before repair")
    assert listed.selectbox(key="plans_A").value == half.plan_id
    listed.button(key="plans_compare").click().run()
    assert_no_bug(listed)
    said = text_of(listed)
    assert "Both give the same answer to" in said
    assert metric(listed, escaped(f"A: {half.plan_id}")).endswith("%")
    # Names are not read as Markdown.
    assert metric(listed, escaped(f"B: *raw* $x$ ({quarter})")).endswith("%")
    listed.button(key="plans_delete").click().run()
    assert "what was measured of it stays known" in text_of(listed)
    listed.button(key="plans_delete_yes").click().run()
    assert [item.plan_id for item in store.plans.saved()] == [half.plan_id]
    listed.selectbox(key="plans_pick").select_index(0).run()
    listed.button(key="plans_open").click().run()
    assert_no_bug(listed)
    assert present(listed).plan.entries == half.plan.entries
