"""Faults that were found in the browser and that no other file is about, by their numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis import figures
from analysis.figures.palettes import palette
from analysis.records.sweep import SweepSpec
from analysis.store.store import Store
from analysis.sweeps.timing import SweepEstimate
from pages.components.sweep import form
from pages.components.widgets import job
from pages.components.widgets.formatting import settings_of
from tests.pages.conftest import OWNER, measure
from tests.pages.reading import SUBJECT, SWEEP, Open, assert_no_bug, text_of


@pytest.mark.parametrize("page", ["2_Sweep", "3_Curves", "4_Compare"])
def test_a_sweep_in_the_queue_waits_and_measures_nothing(
    page: str, open_page: Open, workspace: Path
) -> None:
    """Fault 25: "waiting" and "the first batch is being measured" at once; a badge "live"."""
    store = Store(workspace)
    store.runs.create(SWEEP)
    test = open_page(page, run=store.runs.create(SWEEP))
    assert_no_bug(test)
    said = text_of(test) + " ".join(str(item.text) for item in test.get("progress"))
    assert "Waiting for 1 sweep on the same device" in said
    assert "is being measured" not in said
    assert "0 of 0" not in said
    links = [item.proto.label for item in test.sidebar.get("page_link")]
    assert not any("live" in label for label in links)


def test_a_sweep_that_was_cancelled_at_once_measured_nothing(
    open_page: Open, workspace: Path
) -> None:
    """Fault 25: after a cancel at 0 %, the first batch was still "being measured"."""
    store = Store(workspace)
    run_id = store.runs.create(SWEEP)
    store.jobs.attach(run_id, owner=OWNER, pid=1, host="elsewhere")
    store.jobs.finish(run_id, "cancelled", owner=OWNER, seconds=0.1, error="")
    run = store.runs.get(run_id)
    assert job.line(run) == "Nothing was measured"
    test = open_page("2_Sweep", run=run_id)
    assert_no_bug(test)
    said = text_of(test)
    assert "Nothing was measured before the sweep was cancelled" in said
    assert "is being measured" not in said


def test_a_running_sweep_says_that_it_goes_on_alone(open_page: Open) -> None:
    """Fault 33: nothing said that closing the page stops nothing."""
    assert "goes on when this page or the dashboard is closed" in text_of(
        open_page("2_Sweep", "running")
    )
    assert "goes on when" not in text_of(open_page("8_Runs"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_outcomes_fade_and_only_what_is_there_is_in_the_legend(theme: str) -> None:
    """Fault 26: "tied" was red, "missing" in the legend with none, "worse" invisible in dark."""
    table = pd.DataFrame(
        {"criterion": ["l1"], "best": [1], "tied": [2], "worse": [1], "missing": [0]}
    )
    chart = figures.criteria_chart(table, theme=theme)
    assert [trace.name for trace in chart.data] == ["best", "tied", "worse"]
    colors = palette(theme)
    for trace in chart.data:
        assert trace.marker.color in colors.sequential
        assert trace.marker.pattern.shape is None
    wins = pd.DataFrame(
        [["a", "l1", 0.5, 0.4, 0.6, "tied", False], ["a", "fpgm", 0.2, 0.1, 0.3, "worse", False]],
        columns=["layer", "criterion", "tolerated", "low", "high", "outcome", "open_end"],
    )
    shades = {t.name: t.marker.color for t in figures.win_matrix_chart(wins, theme=theme).data}
    assert shades == {"tied": colors.sequential[3], "worse": colors.muted}


def test_runs_are_told_apart_and_can_be_named(
    open_page: Open, workspace: Path, prepared: object
) -> None:
    """Fault 27: runs that differ in precision looked the same; no name, baseline or duration."""
    test = open_page("8_Runs", "done")
    store = Store(workspace)
    spec = SweepSpec(subject=SUBJECT, criteria=("l1",), precision="bf16", repair="bn")
    measure(store, prepared, spec, samples=0)  # type: ignore[arg-type]
    test.run()
    assert_no_bug(test)
    table = test.dataframe[0].value
    assert table["settings"].tolist()[0] == settings_of(spec)
    assert "repair bn, precision bf16" in settings_of(spec)
    assert table["settings"].nunique() == 2
    assert 50 < float(table["baseline"].iloc[1].removesuffix("\N{NO-BREAK SPACE}%")) < 100
    assert table["duration"].tolist() == ["\N{EN DASH}", "1.0\N{NO-BREAK SPACE}s"]
    done = str(table["run"].iloc[1])
    test.multiselect(key="runs_pick").select(done).run()
    test.text_input(key=f"runs_name_{done}").set_value(" before fine-tuning ").run()
    assert_no_bug(test)
    assert store.runs.get(done).name == "before fine-tuning"
    assert "before fine-tuning" in test.dataframe[0].value["name"].tolist()
    test.button(key="runs_delete").click().run()
    kinds = {item.key: item.proto.type for item in test.button if item.key}
    assert (kinds["runs_delete_no"], kinds["runs_delete_yes"]) == ("primary", "secondary")
    test.switch_page("app.py").run()
    assert "before fine\\-tuning" in text_of(test)


def test_the_advice_leaves_the_curves_in_sight(open_page: Open) -> None:
    """Fault 28: on small screens the first chart began at the lower edge."""
    test = open_page("3_Curves", "done")
    box = next(item for item in test.expander if item.label.startswith(":material/"))
    assert not box.proto.expanded
    assert "l1 and fpgm are tied" in box.label


def test_a_saved_plan_is_shown_while_its_subject_is_loaded(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 30: after a restart, half a minute without the table, which needs no model."""
    from pages.components.plan import table_editor
    from pages.components.state.subject_cache import subjects
    from tests.pages.test_flow import fill_uniform

    test = open_page("5_Plan", "done")
    fill_uniform(test, 50)
    plan_id, run_id = test.query_params["plan"], test.query_params["run"]
    shown: list[pd.DataFrame] = []
    preview = table_editor.preview

    def recorded(table: pd.DataFrame, points: pd.DataFrame, current: object) -> None:
        assert subjects().peek(SUBJECT) is None
        shown.append(table)
        preview(table, points, current)  # type: ignore[arg-type]

    monkeypatch.setattr(table_editor, "preview", recorded)
    subjects.clear()
    again = open_page("5_Plan", run=run_id, plan=plan_id)
    assert_no_bug(again)
    assert set(shown[0]["ratio"]) == {0.5}
    assert shown[0]["tolerated"].notna().all()
    assert "once the subject is loaded" not in text_of(again)
    assert set(again.dataframe[0].value["ratio"]) == {50.0}


def test_a_long_sweep_has_a_range_of_costs() -> None:
    """Fault 31: one figure, which followed the load of the moment."""
    estimate = SweepEstimate(points_new=9, points_cached=0, seconds=100.0, low=70.0, high=180.0)
    said = form._cost_line(SWEEP, estimate).replace("\N{NO-BREAK SPACE}", " ")
    assert "about **1 min 40 s** on cpu" in said
    assert "(1 min 10 s to 3 min 0 s, by how busy the machine is)" in said
    short = SweepEstimate(points_new=9, points_cached=0, seconds=3.0, low=2.0, high=5.0)
    assert "busy" not in form._cost_line(SWEEP, short)


def test_headings_are_no_tab_stops(open_page: Open) -> None:
    """Fault 32: anchors of headings were stops on Home."""
    test = open_page("Home")
    headings = [*test.subheader, *test.title]
    assert headings
    assert all(json.loads(str(item.hide_anchor).lower()) for item in map(_proto, headings))
    assert not any(str(item.value).startswith("#") for item in test.markdown)


def _proto(item: object) -> object:
    return item.proto  # type: ignore[attr-defined]
