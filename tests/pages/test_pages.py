"""Each page in each state it can meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.records.subject import SubjectSpec
from analysis.store.store import Store
from pages.components.widgets.page_registry import PAGES, sections
from tests.pages.reading import MANY, ROOT, SUBJECT, SWEEP, Open, assert_no_bug, shown, text_of

# Script without its ending -> title, of all pages but Home.
NUMBERED = {Path(page.file).stem: page.title for page in PAGES.values() if page.section}
STATES = ("running", "cancelled", "failed", "done")


def charts(test: object) -> int:
    return len(test.get("plotly_chart"))  # type: ignore[attr-defined]


def test_the_table_lists_every_page_once_by_section() -> None:
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "pages").glob("*.py")}
    assert found | {"app.py"} == {page.file for page in PAGES.values()}
    assert len({page.file for page in PAGES.values()}) == len(PAGES)
    for page in PAGES.values():
        script = (ROOT / page.file).read_text(encoding="utf-8")
        assert f'frame("{page.title}")' in script
        assert (page.needs != "nothing") == bool(page.without)
    assert {section: [page.title for page in pages] for section, pages in sections().items()} == {
        "": ["Home"],
        "Measure": ["Setup", "Sweep", "Curves", "Compare", "Import"],
        "Decide": ["Plan", "Trade-off", "Evaluate", "Recover", "Plans"],
        "Deliver": ["Export", "Runs"],
    }


@pytest.mark.parametrize("page", ["Home", *NUMBERED])
def test_an_empty_workspace_offers_one_next_step(page: str, open_page: Open) -> None:
    test = open_page(page)
    assert_no_bug(test)
    said = text_of(test)
    if page == "Home":
        assert "Try the demo" in said
        return
    about = PAGES[NUMBERED[page]]
    assert about.title in test.title[0].value
    assert about.purpose in said
    assert about.without in said
    assert ("Use the demo subject" if about.title == "Setup" else "Go to setup") in said


@pytest.mark.parametrize("page", list(NUMBERED))
def test_with_a_subject_alone_a_page_asks_for_what_else_it_needs(
    page: str, open_page: Open
) -> None:
    about = PAGES[NUMBERED[page]]
    said = text_of(open_page(page, subject=SUBJECT))
    assert "No subject yet" not in said
    assert ("No sweep yet" in said) == (about.needs == "points")
    assert ("removes nothing yet" in said) == (about.needs == "plan")


@pytest.mark.parametrize("page", ["Home", *NUMBERED])
@pytest.mark.parametrize("state", STATES)
def test_every_page_in_every_state_of_a_run(page: str, state: str, open_page: Open) -> None:
    test = open_page(page, state)
    assert_no_bug(test)
    assert test.title


@pytest.mark.parametrize("page", list(NUMBERED))
def test_a_link_to_an_unknown_run_says_so_and_offers_a_way_on(page: str, open_page: Open) -> None:
    """What a link holds is shown as it is: as Markdown it fetched pictures."""
    test = open_page(page, run="![no-such-run](http://a.test/x)")
    assert_no_bug(test)
    assert "\\!\\[no\\-such\\-run\\]\\(http" in test.error[0].value
    test.button(key="broken_fresh").click().run()
    assert not test.error
    assert "run" not in test.query_params


def test_a_broken_link_lists_the_runs_that_exist(open_page: Open) -> None:
    test = open_page("3_Curves", "done", run="no-such-run")
    names = [item.label for item in test.button if item.label.startswith("Open ")]
    assert len(names) == 1


def test_a_link_with_nonsense_falls_back_to_defaults(open_page: Open) -> None:
    test = open_page("3_Curves", "done", tolerance="lots", metric="vibes", view="Pie", layer="x")
    assert_no_bug(test)
    assert test.number_input(key="choose_tolerance").value == 1.0
    assert charts(test) == 2


@pytest.mark.parametrize("view", ["Curves", "Matrix", "Ranking", "Opportunities"])
@pytest.mark.parametrize("metric", ["drop", "accuracy", "kl"])
def test_each_view_of_the_curves(view: str, metric: str, open_page: Open) -> None:
    test = open_page("3_Curves", "done", view=view, metric=metric)
    assert_no_bug(test)
    assert charts(test) == 2
    # Below the table, and below a chart of drops.
    is_said = metric == "drop" and view in ("Curves", "Matrix")
    assert text_of(test).count("A drop above zero is a loss.") == 1 + is_said


def test_curves_of_a_running_sweep_say_how_far_it_is(open_page: Open) -> None:
    test = open_page("3_Curves", "running")
    assert "40 of 120 samples" in text_of(test)
    assert charts(test) == 2


@pytest.mark.parametrize("page", ["2_Sweep", "3_Curves"])
def test_a_cancelled_run_can_be_resumed_where_it_is_shown(page: str, open_page: Open) -> None:
    test = open_page(page, "cancelled")
    assert "Cancelled at 67" in text_of(test)
    assert "Resume" in [item.label for item in test.button]


@pytest.mark.parametrize("page", ["2_Sweep", "3_Curves"])
def test_a_failed_run_says_why(page: str, open_page: Open) -> None:
    assert "the disk of the data is gone" in text_of(open_page(page, "failed"))


def test_what_model_or_data_are_to_blame_for_is_not_resumed(
    open_page: Open, workspace: Path, templates: dict[str, tuple[Path, str]]
) -> None:
    test = open_page("2_Sweep", "failed")
    assert "Resume" in [item.label for item in test.button]
    Store(workspace).jobs.finish(
        templates["failed"][1], "failed", owner="test", seconds=0, error="no", comes_again=True
    )
    test.run()
    assert_no_bug(test)
    assert "change what it names" in text_of(test)
    assert "Resume" not in [item.label for item in test.button]
    test.switch_page("pages/8_Runs.py").run()
    test.multiselect(key="runs_pick").select(templates["failed"][1]).run()
    assert_no_bug(test)
    assert "Stopped before anything was measured: no\n" in text_of(test)
    assert "change what it names" in text_of(test)
    assert test.button(key="runs_resume").disabled


@pytest.mark.parametrize("page", ["3_Curves", "4_Compare"])
def test_a_run_of_another_subject_is_marked_stale(
    page: str, open_page: Open, other_subject: SubjectSpec
) -> None:
    test = open_page(page, "done", subject=other_subject)
    assert_no_bug(test)
    assert "other settings than the subject on the Setup page" in text_of(test)
    assert charts(test) == 2


def test_a_filter_that_fits_nothing_can_be_cleared(open_page: Open) -> None:
    """A link did not say which layers are shown."""
    test = open_page("3_Curves", "done")
    test.text_input(key="choose_layers").set_value("layer9").run()
    assert test.query_params["layers"] in ("layer9", ["layer9"])
    assert "No layer matches" in text_of(test)
    next(item for item in test.button if item.label == "Clear filter").click().run()
    assert charts(test) == 2


def test_picking_a_layer_goes_into_the_address(open_page: Open) -> None:
    test = open_page("3_Curves", "done")
    test.selectbox(key="choose_layer").select("fc1").run()
    assert test.query_params["layer"] == "fc1"
    again = test.switch_page("pages/5_Plan.py").run()
    assert again.selectbox(key="choose_layer").value == "fc1"


def test_the_sweep_page_tells_the_cost_and_what_is_known(open_page: Open) -> None:
    test = open_page("2_Sweep", "done")
    said = text_of(test)
    assert "108 points" in said or "known already" in said
    test.text_input(key="sweep_layers").set_value("nothing*").run()
    assert_no_bug(test)
    assert "No layer fits 'nothing*'" in test.error[0].value.replace("\\", "")


def test_compare_needs_two_criteria_on_equal_terms(open_page: Open) -> None:
    test = open_page("4_Compare", "done")
    for view, count in (("Best or tied", 2), ("Layer by layer", 1), ("Removed channels", 2)):
        test.segmented_control(key="choose_compare").set_value(view).run()
        assert_no_bug(test)
        assert charts(test) == count, view


def test_compare_draws_all_criteria_where_they_fit_and_the_leading_ones_elsewhere(
    open_page: Open,
) -> None:
    test = open_page("4_Compare", "many")
    assert_no_bug(test)
    assert charts(test) == 2
    assert len(MANY.criteria) in [len(item.value) for item in test.dataframe]
    for view, most in (("Layer by layer", 6), ("Removed channels", 4)):
        test.segmented_control(key="choose_compare").set_value(view).run()
        assert_no_bug(test)
        chosen = next(item for item in test.multiselect if item.label == "Criteria")
        assert len(chosen.value) == most
        assert len(chosen.options) == len(MANY.criteria)


def test_curves_of_many_criteria_show_the_chosen_and_the_leading_ones(open_page: Open) -> None:
    test = open_page("3_Curves", "many", criterion="random")
    assert_no_bug(test)
    assert test.selectbox(key="choose_criterion").value == "random"
    said = [str(item.value) for item in test.markdown if "** tolerates **" in str(item.value)]
    assert len(said) == 6
    assert any(line.startswith("**Random") for line in said)


def test_the_runs_page_lists_what_the_workspace_has(open_page: Open, workspace: Path) -> None:
    test = open_page("8_Runs", "done")
    table = test.dataframe[0].value
    assert table["state"].tolist() == ["done"]
    assert table["progress"].tolist() == [100.0]


def test_deleting_a_run_asks_first(open_page: Open) -> None:
    test = open_page("8_Runs", "done")
    run_id = test.dataframe[0].value["run"].iloc[0]
    test.multiselect(key="runs_pick").select(run_id).run()
    test.button(key="runs_delete").click().run()
    assert_no_bug(test)
    assert "cannot be undone" in text_of(test)
    test.button(key="runs_delete_yes").click().run()
    assert_no_bug(test)
    assert "No runs yet" in text_of(test)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("{}", "subject"),
        (SWEEP.to_json().replace("classification", "alchemy"), "unknown task 'alchemy'"),
    ],
    ids=["empty", "of another task"],
)
def test_a_damaged_run_is_named_beside_the_others_and_can_be_deleted(
    open_page: Open, workspace: Path, spec: str, says: str
) -> None:
    """One damaged run hid all others; so did one whose task nobody knows."""
    test = open_page("8_Runs", "done")
    store = Store(workspace)
    bad = store.runs.create(SWEEP)
    with store.database.write() as db:
        db.execute("UPDATE runs SET spec = ?, state = 'done' WHERE run_id = ?", (spec, bad))
    test.run()
    assert f"Run `{bad}` cannot be read" in text_of(test)
    assert says in shown(text_of(test))
    assert len(test.dataframe[0].value) == 1
    test.button(key=f"runs_delete_damaged_{bad}").click().run()
    test.button(key="runs_delete_yes").click().run()
    assert_no_bug(test)
    assert "cannot be read" not in text_of(test)
    assert len(test.dataframe[0].value) == 1
