"""The switch between variants of a sweep on Curves and Compare, and the curve drawn beside."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from analysis.edits.prepared import PreparedSubject
from analysis.records.sweep import SweepSpec
from analysis.store.store import Store
from tests.pages.conftest import OWNER, measure
from tests.pages.reading import SWEEP, Open, assert_no_bug, text_of

OTHERS = {"semantics": "weights", "repair": "lsq"}


def variant(field: str) -> SweepSpec:
    """The sweep of the page tests with another value of a setting, measured in other batches."""
    subject = dataclasses.replace(SWEEP.subject, memory_limit=2**28)
    return dataclasses.replace(SWEEP, subject=subject, **{field: OTHERS[field]})  # type: ignore[arg-type]


def add_sibling(
    workspace: Path, prepared: PreparedSubject, field: str, *, samples: int = 120
) -> str:
    """Enter a variant of the run, measured so far."""
    store = Store(workspace)
    run_id = measure(store, prepared, variant(field), samples=samples)
    if samples == 120:
        store.jobs.finish(run_id, "done", owner=OWNER, seconds=1.0, error="")
    store.close()
    return run_id


def lines(test: AppTest) -> list[list[str]]:
    """Names of the lines of each chart."""
    specs = [json.loads(item.proto.spec) for item in test.get("plotly_chart")]
    names = [[str(trace["name"]) for trace in spec["data"]] for spec in specs]
    return [[name for name in chart if not name.endswith("interval")] for chart in names]


@pytest.mark.parametrize("field", list(OTHERS))
@pytest.mark.parametrize("page", ["3_Curves", "4_Compare"])
def test_only_variants_that_were_measured_can_be_chosen(
    page: str, field: str, open_page: Open, workspace: Path, prepared: PreparedSubject
) -> None:
    """A variant without a run was selected above the raw curves."""
    test = open_page(page, "done")
    run_id = str(test.query_params["run"])
    key = f"{field}_{run_id}"
    assert key not in {item.key for item in test.segmented_control}
    assert test.button(key=f"{field}_{OTHERS[field]}_start").label.startswith("Measure: ")
    other = add_sibling(workspace, prepared, field)
    test.run()
    switch = test.segmented_control(key=key)
    assert len(switch.options) == 2
    assert f"{field}_{OTHERS[field]}_start" not in {item.key for item in test.button}
    switch.set_value(OTHERS[field]).run()
    assert_no_bug(test)
    assert test.query_params["run"] == other
    said = text_of(test)
    if field == "repair":
        assert "After lsq, accuracy is" in said
        assert "raw on average over 24 points" in said
    else:
        assert "Weights masked and removal differ by" in said
    assert run_id != other


def test_a_repair_that_does_not_fit_the_semantics_is_not_offered(
    open_page: Open, workspace: Path, prepared: PreparedSubject
) -> None:
    test = open_page("3_Curves", "done")
    assert offered(test) == ["repair_bn_start", "repair_lsq_start", "semantics_weights_start"]
    masked = add_sibling(workspace, prepared, "semantics")
    test = AppTest.from_file(str(Path(__file__).parents[2] / "app.py"), default_timeout=60)
    test.query_params["run"] = masked
    test.switch_page("pages/3_Curves.py").run()
    assert offered(test) == ["repair_bn_start"]


def offered(test: AppTest) -> list[str]:
    """Keys of the buttons that measure a variant."""
    return [str(item.key) for item in test.button if str(item.key).endswith("_start")]


def test_without_a_sibling_the_run_is_drawn_alone(open_page: Open) -> None:
    test = open_page("3_Curves", "done")
    assert lines(test)[1] == ["L1 norm", "FPGM"]
    assert not [item for item in test.selectbox if item.label == "Drawn beside"]


def test_both_curves_are_drawn_with_their_numbers(
    open_page: Open, workspace: Path, prepared: PreparedSubject
) -> None:
    test = open_page("3_Curves", "done", layer="conv2", criterion="fpgm")
    add_sibling(workspace, prepared, "repair")
    test.run()
    assert_no_bug(test)
    assert test.selectbox(key="choose_beside").value == "after lsq"
    main, focus = lines(test)
    assert focus == ["FPGM, after lsq", "L1 norm, raw", "FPGM, raw"]
    assert "conv2, after lsq" in main
    assert len([name for name in main if "after lsq" in name]) == 1
    assert "after lsq, tolerates" in text_of(test)
    ranking = test.dataframe[-1].value
    assert ranking["tolerated, compared"].notna().all()
    assert "After lsq" in json.dumps([str(item.proto) for item in test.get("plotly_chart")])
    test.segmented_control(key="choose_criterion").set_value("l1").run()
    assert lines(test)[1] == ["L1 norm, after lsq", "L1 norm, raw", "FPGM, raw"]
    test.selectbox(key="choose_beside").set_value("nothing").run()
    assert_no_bug(test)
    assert test.query_params["beside"] == "nothing"
    assert lines(test)[1] == ["L1 norm", "FPGM"]


def test_a_sibling_that_is_being_measured_is_drawn_without_a_verdict(
    open_page: Open, workspace: Path, prepared: PreparedSubject
) -> None:
    test = open_page("3_Curves", "done")
    add_sibling(workspace, prepared, "repair", samples=40)
    test.run()
    assert_no_bug(test)
    assert "L1 norm, after lsq" in lines(test)[1]
    # 40 samples say nothing beside 120 others.
    assert "accuracy is" not in text_of(test)


def test_the_table_has_both_curves(
    open_page: Open, workspace: Path, prepared: PreparedSubject
) -> None:
    test = open_page("3_Curves", "done")
    add_sibling(workspace, prepared, "repair")
    test.session_state["curves_both"] = True
    test.run()
    assert_no_bug(test)
    shown = next(item.value for item in test.dataframe if "removed" in item.value)
    assert {"drop, raw", "low, raw", "high, raw", "drop, after lsq"} <= set(shown)
    assert len(shown) == 3
