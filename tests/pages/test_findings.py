"""Faults that were found in the browser and that no other file is about, by their numbers."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from pathlib import Path

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from analysis import figures, plans
from analysis.curves import GroupSize, tolerated
from analysis.edits.prepared import PreparedSubject
from analysis.figures.drawing import palette
from analysis.records.plan import Plan, PlanEntry
from analysis.records.sweep import PlannedPoint, PointKey, SweepSpec
from analysis.sentences import capital
from analysis.store.store import Store
from analysis.sweeps.timing import SweepEstimate
from pages.components.plan.table_editor import rows_of
from pages.components.plan.view import NO_POINTS
from pages.components.recover.view import _starts_from
from pages.components.state import session
from pages.components.state.subject_cache import subjects
from pages.components.sweep import form
from pages.components.widgets import job
from pages.components.widgets.formatting import settings_of
from tests.helpers.store_writer import sums, update
from tests.pages.conftest import OWNER, measure
from tests.pages.reading import SUBJECT, SWEEP, Open, assert_no_bug, plan_rows, text_of


@pytest.mark.parametrize("page", ["2_Sweep", "3_Curves", "4_Compare"])
def test_a_sweep_in_the_queue_waits_and_measures_nothing(
    page: str, open_page: Open, workspace: Path
) -> None:
    """ "waiting" and "the first batch is being measured" at once; a badge "live"."""
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
    """After a cancel at 0 %, the first batch was still "being measured"."""
    store = Store(workspace)
    run_id = store.runs.create(SWEEP)
    store.jobs.attach(run_id, owner=OWNER, pid=1, host="elsewhere")
    store.jobs.finish(run_id, "cancelled", owner=OWNER, seconds=0.1, error="")
    run = store.runs.get(run_id)
    assert job.line(run) == "Nothing was measured"
    test = open_page("2_Sweep", run=run_id)
    assert_no_bug(test)
    said = text_of(test)
    assert "Cancelled before anything was measured" in said
    assert "is being measured" not in said


def test_a_running_sweep_says_that_it_goes_on_alone(open_page: Open) -> None:
    """Nothing said that closing the page stops nothing."""
    assert "goes on when this page or the dashboard is closed" in text_of(
        open_page("2_Sweep", "running")
    )
    assert "goes on when" not in text_of(open_page("8_Runs"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_outcomes_fade_and_only_what_is_there_is_in_the_legend(theme: str) -> None:
    """ "tied" was red, "missing" in the legend with none, "worse" invisible in dark."""
    table = pd.DataFrame(
        {"criterion": ["l1"], "best": [1], "tied": [2], "worse": [1], "missing": [0]}
    )
    chart = figures.criteria_chart(table, theme=theme)
    assert [trace.name for trace in chart.data] == ["best", "tied", "worse"]
    alone = figures.criteria_chart(table.assign(best=0, worse=0), theme=theme)
    assert [trace.name for trace in alone.data] == ["tied"]
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
    """Runs that differ in precision looked the same; no name, baseline or duration."""
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
    assert table["criteria"].tolist() == ["L1 norm", "L1 norm, FPGM"]
    # What tells them apart comes before what does not, so that all of it is seen at 1,440 pixels.
    assert [*table].index("duration") < [*table].index("created") < [*table].index("points")
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
    """On small screens the first chart began at the lower edge."""
    test = open_page("3_Curves", "done")
    box = next(item for item in test.expander if item.label.startswith(":material/"))
    assert not box.proto.expanded
    assert "L1 norm and FPGM are tied" in box.label


def test_a_saved_plan_is_shown_while_its_subject_is_loaded(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart, half a minute without the table, which needs no model."""
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
    assert {row["ratio"] for row in plan_rows(again).values()} == {50.0}


def test_a_new_plan_is_shown_while_its_subject_is_loaded(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a saved plan nothing was shown before the model."""
    from pages.components.plan import table_editor
    from pages.components.state.subject_cache import subjects

    shown: list[pd.DataFrame] = []

    def recorded(table: pd.DataFrame, points: pd.DataFrame, current: object) -> None:
        assert subjects().peek(SUBJECT) is None
        shown.append(table)

    monkeypatch.setattr(table_editor, "preview", recorded)
    subjects.clear()
    test = open_page("5_Plan", "done")
    assert_no_bug(test)
    early = shown[0].set_index("layer")
    final = {row["layer"]: row for row in plan_rows(test).values()}
    assert set(early.index) <= set(final)
    for layer, row in early.iterrows():
        now = final[str(layer)]
        assert (row["ratio"], row["total"], row["criterion"]) == (0, now["total"], now["criterion"])
        assert row["tolerated"] * 100 == pytest.approx(now["tolerated"])


def test_a_long_sweep_has_a_range_of_costs() -> None:
    """One figure, which followed the load of the moment."""
    estimate = SweepEstimate(points_new=9, points_cached=0, seconds=100.0, low=70.0, high=180.0)
    said = form._cost_line(SWEEP, estimate).replace("\N{NO-BREAK SPACE}", " ")
    assert "about **1 min 40 s** on cpu" in said
    assert "(1 min 10 s to 3 min 0 s, by how busy the machine is)" in said
    short = SweepEstimate(points_new=9, points_cached=0, seconds=3.0, low=2.0, high=5.0)
    assert "busy" not in form._cost_line(SWEEP, short)


def test_headings_are_no_tab_stops(open_page: Open) -> None:
    """Anchors of headings were stops on Home."""
    test = open_page("Home")
    headings = [*test.subheader, *test.title]
    assert headings
    assert all(json.loads(str(item.hide_anchor).lower()) for item in map(_proto, headings))
    assert not any(str(item.value).startswith("#") for item in test.markdown)


def _proto(item: object) -> object:
    return item.proto  # type: ignore[attr-defined]


@pytest.fixture
def restarted(workspace: Path) -> None:
    """A server that has loaded no subject yet."""
    st.cache_resource.clear()


@pytest.mark.usefixtures("restarted")
def test_sizes_of_groups_and_advice_need_no_model_in_memory(open_page: Open) -> None:
    """No bubbles after a restart, and other advice for a colleague."""
    test = open_page("3_Curves", "done", view="Opportunities", tolerance="60")
    assert_no_bug(test)
    assert not subjects().peek(SUBJECT)
    spec = json.loads(test.get("plotly_chart")[0].proto.spec)
    (bubbles,) = spec["data"]
    assert {row[0] for row in bubbles["customdata"]} == {"conv1", "conv2", "fc1", "fc2"}
    assert "of the parameters), conv2 (" in " ".join(item.label for item in test.expander)
    # 150 weights and 6 biases of its own, 2,400 weights that read it, of 61,706.
    said = text_of(test).replace("\N{NO-BREAK SPACE}", " ")
    assert "Pruned alone. All of it takes 4.1 % of the parameters and 85.9 % of the MACs" in said


def test_a_run_of_an_older_program_gets_its_sizes_from_the_model_in_memory(
    open_page: Open, workspace: Path
) -> None:
    test = open_page("3_Curves", "done", view="Opportunities")
    store = Store(workspace)
    run = store.runs.get("last")
    with store.database.write() as db:
        db.execute("DELETE FROM inventories")
    assert store.inventories.get(run.identity) is None
    session.inventories().clear()
    assert_no_bug(test.run())
    kept = store.inventories.get(run.identity)
    assert kept is not None
    assert kept.params > 0


@pytest.mark.parametrize("state", ["running", "done"])
def test_the_sweep_page_draws_the_curves_with_their_baseline(state: str, open_page: Open) -> None:
    """Squares, and no number on the page where one waits longest."""
    test = open_page("2_Sweep", state)
    assert_no_bug(test)
    spec = json.loads(test.get("plotly_chart")[0].proto.spec)
    assert {"conv1", "conv2", "fc1", "fc2"} <= {trace["name"] for trace in spec["data"]}
    labels = {item.label: item.value for item in test.metric}
    time, count = {
        "running": ("Time left", "Points so far"),
        "done": ("Took", "Points measured"),
    }[state]
    assert set(labels) == {"Dense accuracy", time, count}
    assert labels[count] == "24 of 24"


def deep_run(workspace: Path) -> str:
    """Enter a measured run of a network of 120 groups in four blocks."""
    names = [f"features.block{number // 30}.layer{number}.conv" for number in range(120)]
    keys = [
        PointKey(
            criterion="l1",
            granularity="channel",
            layer=name,
            group=name,
            ratio_requested=ratio,
            kept=int(8 * (1 - ratio)),
            total=8,
        )
        for name in names
        for ratio in SWEEP.ratios
    ]
    store = Store(workspace)
    run_id = store.runs.create(dataclasses.replace(SWEEP, criteria=("l1",)))
    store.jobs.attach(run_id, owner=OWNER, pid=os.getpid(), host=socket.gethostname())
    assert store.jobs.claim_device(run_id)
    store.points.enter(
        run_id, [PlannedPoint(key=key, cache_key=repr(key), params=1, macs=1) for key in keys]
    )
    found = {key: sums(10, lost=place % 20) for place, key in enumerate(keys)}
    store.points.save(run_id, dataclasses.replace(update(10, []), sums=found), owner=OWNER)
    store.jobs.finish(run_id, "done", owner=OWNER, seconds=1.0)
    store.close()
    return run_id


def test_a_deep_network_is_shown_block_by_block(open_page: Open, workspace: Path) -> None:
    """4,235 pixels of rows, with the axis out of sight, and no way to fold them."""
    run_id = deep_run(workspace)
    blocks = [f"features.block{number}" for number in range(4)]

    def rows(test: AppTest) -> list[str]:
        assert_no_bug(test)
        spec = json.loads(test.get("plotly_chart")[0].proto.spec)
        return [str(name) for name in reversed(spec["layout"]["yaxis"]["categoryarray"])]

    for view in ("Matrix", "Ranking"):
        test = open_page("3_Curves", run=run_id, view=view)
        assert sorted(rows(test)) == blocks
        assert sorted(test.dataframe[-1].value["layer"]) == blocks
    test.selectbox(key="choose_block").set_value(blocks[1]).run()
    assert len(rows(test)) == len(test.dataframe[-1].value) == 30
    assert test.query_params["block"] == blocks[1]
    test.selectbox(key="choose_block").set_value("*").run()
    assert len(rows(test)) == 120
    test.text_input(key="choose_layers").set_value("*.layer7*").run()
    assert len(rows(test)) == 11


def test_labels_and_alerts_begin_as_sentences_do(open_page: Open) -> None:
    """ "Kl divergence from dense", and alerts in lower case."""
    test = open_page("3_Curves", "done")
    metric = test.selectbox(key="choose_metric")
    assert "KL divergence from dense" in metric.options
    assert not any("Kl" in option for option in metric.options)
    said = capital("a sweep needs evaluation data; give a data address")
    assert said.startswith("A sweep needs")
    assert capital("models/net.py has no function 'make'").startswith("models/net.py")


def test_a_map_shows_the_whole_network_and_lights_up_a_group(open_page: Open) -> None:
    """On Curves by what is tolerated, on Plan by what is removed."""
    test = open_page("3_Curves", "done", view="Map", layer="conv2")
    assert_no_bug(test)
    figure = json.loads(test.get("plotly_chart")[0].proto.spec)
    rings, marks = figure["data"][2:4]
    texts = [text.split("\N{EM SPACE}") for text in figure["layout"]["yaxis"]["ticktext"]]
    assert [text[0] for text in texts] == ["conv1", "<b>conv2</b>", "fc1", "fc2", "fc3"]
    # The share is part of the name, so that no width lets one cover the other.
    assert [len(text) for text in texts] == [2, 2, 2, 2, 1]
    assert (rings["y"], marks["customdata"][1]) == ([1], ["conv2"])
    test.switch_page("pages/5_Plan.py").run()
    assert_no_bug(test)
    assert "Network map" in [item.label for item in test.expander]
    assert "Pruned alone. All of it takes" in text_of(test)
    assert plan_rows(test)["conv2"]["others"] == []
    # Before the first click, too, the map and the panel are of the same layer.
    again = open_page("5_Plan", run=test.query_params["run"])
    maps = [json.loads(item.proto.spec) for item in again.get("plotly_chart")]
    texts = [item["layout"]["yaxis"].get("ticktext") or [""] for item in maps]
    assert any(item[0].startswith("<b>conv1</b>") for item in texts)


def test_a_row_of_the_plan_says_all_layers_of_its_group(prepared: PreparedSubject) -> None:
    """The Plan page named the first layer of a group alone."""
    plan = plans.start_plan(prepared, criterion="l1")
    table = plans.plan_table(plan, {}, tolerated(NO_POINTS, tolerance=0.01), tolerance=0.01)
    key = str(table["key"].iloc[0])
    sizes = {key: GroupSize(layers=("conv1", "down", "conv3"), params=0.1, macs=0.1)}
    rows = rows_of(table, NO_POINTS, prepared.subject.task.words, sizes, 0.01)
    assert [row["others"] for row in rows][:2] == [["down", "conv3"], []]


def test_the_words_of_a_plan_of_somebody_else_are_no_markdown() -> None:
    """How a plan says it was trained fetched a picture from another machine."""
    entry = PlanEntry(
        layer="c1",
        group="c1",
        criterion="l1",
        granularity="channel",
        ratio=0.5,
        kept=1,
        total=2,
    )
    plan = Plan(subject=SUBJECT, fingerprint="f", entries=(entry,))
    plan = plan.trained_as("ab" * 32, "![x](http://a.test/x)")
    said = _starts_from(plan, "finetune")
    assert said.replace("\\", "") == (
        "1 pruned layer; it goes on from the trained weights (![x](http://a.test/x))."
    )
    assert "![" not in said
