"""From a finished run to a plan, its live accuracy, its evaluation and its export."""

from __future__ import annotations

import dataclasses
import pkgutil
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analysis import plans
from analysis.edits.prepared import prepare
from analysis.evaluation.session import LoadedSubject
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from analysis.tasks import scoring_of
from pages.components.state.demo import SAMPLE_SUBJECTS
from pages.components.state.subject_cache import subjects
from tests.pages.acting import SPACES, before_repair, fill_uniform, metric, present
from tests.pages.reading import SUBJECT, Open, assert_no_bug, plan_rows, text_of


def test_a_plan_without_a_run_works_and_says_that_it_is_not_predicted(open_page: Open) -> None:
    test = open_page("5_Plan", subject=SUBJECT)
    assert_no_bug(test)
    assert "No measured run" in text_of(test)
    fill_uniform(test, 50)
    assert {entry.ratio for entry in present(test).plan.entries} == {0.5}


def test_a_run_that_is_not_open_is_offered_and_the_plan_stays(
    open_page: Open, workspace: Path, templates: dict[str, tuple[Path, str]]
) -> None:
    shutil.copytree(templates["done"][0], workspace)
    test = open_page("5_Plan", subject=SUBJECT)
    assert "1 run of this subject" in text_of(test)
    fill_uniform(test, 50)
    test.button(key="plan_open_run").click().run()
    assert_no_bug(test)
    assert "of this subject" not in text_of(test)
    assert {entry.ratio for entry in present(test).plan.entries} == {0.5}


def test_a_run_of_another_subject_is_told_and_one_of_this_is_offered(
    open_page: Open, workspace: Path, templates: dict[str, tuple[Path, str]]
) -> None:
    shutil.copytree(templates["done"][0], workspace)
    other = dataclasses.replace(SUBJECT, seed=7)
    run_id = Store(workspace).runs.create(SweepSpec(subject=other, criteria=("l1",)))
    test = open_page("5_Plan", subject=SUBJECT, run=run_id)
    assert_no_bug(test)
    assert "The open run is of another subject" in text_of(test)
    assert test.button(key="plan_open_run").label == f"Open {templates['done'][1]}"


def test_fill_measures_at_once_and_undo_brings_everything_back(open_page: Open) -> None:
    test = open_page("5_Plan", "done")
    assert_no_bug(test)
    dense = metric(test, "Measured accuracy")
    assert dense.endswith("%")
    # Nothing is removed yet: there is no "before repair".
    assert metric(test, "Predicted accuracy") == dense
    fill_uniform(test, 75)
    pruned = metric(test, "Measured accuracy after lsq")
    assert pruned.endswith("%")
    assert before_repair(test) < float(dense.strip(SPACES))
    assert "samples to go" not in text_of(test)
    test.button(key="sidebar_undo").click().run()
    assert metric(test, "Measured accuracy") == dense
    test.button(key="sidebar_redo").click().run()
    assert metric(test, "Measured accuracy after lsq") == pruned


def test_what_is_predicted_is_said_and_each_measured_plan_teaches(
    open_page: Open, workspace: Path
) -> None:
    test = open_page("5_Plan", "done")
    store = Store(workspace)
    identity = store.runs.get(test.query_params["run"]).identity  # type: ignore[arg-type]
    before = len(store.measurements.all(identity))
    fill_uniform(test, 75)
    (card,) = (item for item in test.metric if item.label.startswith("Predicted accuracy"))
    assert 0 <= float(str(card.value).rstrip(SPACES)) <= 100
    assert "put together on 120 samples" in card.help
    repair = present(test).plan.repair
    assert card.label.endswith("before repair") == (repair != "none")
    assert (f"no prediction after {repair}:" in card.help) == (repair != "none")
    known = store.measurements.all(identity)
    # As it is, and as it is repaired.
    assert [item.plan.repair for item in known[before:]] == ["none", repair]
    (note,) = (item.value for item in test.caption if "Before the repair" in item.value)
    shown = float(note.split("**")[1].rstrip(SPACES))
    assert round(100 * scoring_of("classification").score(known[before].sums), 2) == shown


def counts(test: AppTest) -> dict[str, tuple[float, int, int]]:
    """Return requested ratio, kept and total of each layer of the plan."""
    return {item.layer: (item.ratio, item.kept, item.total) for item in present(test).plan.entries}


def test_kept_channels_are_rounded_by_fills_and_by_an_action(open_page: Open) -> None:
    test = open_page("5_Plan", "done")
    fill_uniform(test, 40)
    plain = counts(test)
    assert plain["conv2"] == (0.4, 10, 16)
    test.selectbox(key="plan_multiple").select(4).run()
    assert counts(test) == plain
    test.button(key="plan_round").click().run()
    assert_no_bug(test)
    expected = {
        name: (ratio, min(-(-kept // 4) * 4, total), total)
        for name, (ratio, kept, total) in plain.items()
    }
    assert counts(test) == expected
    assert expected["conv2"] == (0.4, 12, 16)
    row = plan_rows(test)["conv2"]
    assert (row["ratio"], row["achieved"], row["stay"]) == (40.0, 25.0, "12 of 16 stay")
    test.button(key="sidebar_undo").click().run()
    assert counts(test) == plain
    fill_uniform(test, 40)
    assert counts(test) == expected


@pytest.mark.parametrize(("multiple", "reached"), [(4, True), (8, False)])
def test_budgets_count_after_rounding_and_locked_rows_stay(
    open_page: Open, multiple: int, reached: bool
) -> None:
    test = open_page("5_Plan", "done")
    plan = plans.lock(plans.set_kept(present(test).plan, "fc1", 117), "fc1")
    test.session_state["plan_history"] = present(test).do(plan, action="lock")
    test.selectbox(key="plan_multiple").select(multiple).run()
    test.selectbox(key="plan_strategy").select("uniform").run()
    test.selectbox(key="plan_target_uniform").select("macs").run()
    test.button(key="plan_fill").click().run()
    assert_no_bug(test)
    found = counts(test)
    assert found.pop("fc1")[1] == 117
    assert all(kept % multiple == 0 or kept == total for _, kept, total in found.values())
    subject = subjects().peek(SUBJECT)
    assert subject is not None
    assert (subject.meter.share(present(test).plan, "macs") <= 0.5) == reached
    # Six channels of the first layer cannot become fewer eights than one.
    assert ("out of reach" in text_of(test)) != reached


def test_rounding_is_of_channels_only(open_page: Open) -> None:
    test = open_page("5_Plan", "done")
    test.selectbox(key="plan_multiple").select(8).run()
    entries = [
        dataclasses.replace(entry, granularity="element", group=None, kept=total, total=total)
        for entry in present(test).plan.entries
        for total in [1000]
    ]
    plan = dataclasses.replace(present(test).plan, entries=tuple(entries))
    test.session_state["plan_history"] = present(test).do(plan, action="elements")
    test.run()
    assert test.selectbox(key="plan_multiple").disabled
    fill_uniform(test, 50)
    assert {entry.kept for entry in present(test).plan.entries} == {500}


def test_a_link_to_a_plan_restores_it_and_an_edit_makes_a_copy(open_page: Open) -> None:
    first = open_page("5_Plan", "done")
    fill_uniform(first, 50)
    name, run = first.query_params["plan"], first.query_params["run"]
    second = AppTest.from_file(first._script_path, default_timeout=60)
    second.query_params["plan"], second.query_params["run"] = name, run
    second.switch_page("pages/5_Plan.py").run()
    assert_no_bug(second)
    assert {entry.ratio for entry in present(second).plan.entries} == {0.5}
    fill_uniform(second, 25)
    assert second.query_params["plan"] != name


@pytest.mark.parametrize("page", ["5_Plan", "6_Evaluate"])
def test_a_link_to_a_plan_shows_it_in_the_sidebar(page: str, open_page: Open) -> None:
    """The sidebar was drawn before the plan of the link: no totals and no undo till a click."""
    first = open_page("5_Plan", "done")
    fill_uniform(first, 50)
    second = AppTest.from_file(first._script_path, default_timeout=60)
    for name in ("plan", "run"):
        second.query_params[name] = first.query_params[name]
    second.switch_page(f"pages/{page}.py").run()
    assert_no_bug(second)
    assert "Plan" in [item.value for item in second.sidebar.caption]
    assert any("MACs" in str(item.value) for item in second.sidebar.markdown)
    assert second.button(key="sidebar_undo").disabled


def test_the_demo_is_one_click_away(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.components.home.DEMO", SUBJECT)
    test = open_page("Home")
    test.button(key="home_demo").click().run()
    assert_no_bug(test)
    assert test.session_state["subject_spec"] == SUBJECT.to_dict()


def test_other_samples_are_one_click_away(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [
        dataclasses.replace(sample, spec=dataclasses.replace(sample.spec, samples=32))
        for sample in SAMPLE_SUBJECTS
    ]
    monkeypatch.setattr("pages.components.home.SAMPLE_SUBJECTS", few)
    test = open_page("Home")
    for sample in few:
        test.button(key=f"home_{sample.spec.model}").click().run()
        assert_no_bug(test)
        assert test.session_state["subject_spec"] == sample.spec.to_dict()
        test.switch_page("app.py").run()


def test_a_wrong_address_is_one_clear_line(open_page: Open) -> None:
    test = open_page("1_Setup")
    test.text_input(key="setup_model_address").set_value("/etc/passwd.py:build")
    test.button(key="setup_check").click().run()
    assert_no_bug(test)
    assert "/etc/passwd.py" in test.error[0].value
    assert "\n" not in test.error[0].value


def test_starting_a_sweep_enters_a_run_and_attaches(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: SimpleNamespace(wait=lambda: 0))
    test = open_page("2_Sweep", subject=SUBJECT)
    assert_no_bug(test)
    test.segmented_control(key="sweep_grid").set_value("Quick look").run()
    test.button(key="sweep_start").click().run()
    assert_no_bug(test)
    assert "run" in test.query_params
    assert "Starting" in text_of(test) or any("Starting" in str(p.text) for p in test.progress)


def test_a_plan_follows_the_subject_to_other_samples(
    open_page: Open, other_subject: SubjectSpec
) -> None:
    test = open_page("5_Plan", "done")
    fill_uniform(test, 50)
    subjects().put(other_subject, LoadedSubject(prepare(load_subject(other_subject))))
    test.session_state["subject_spec"] = other_subject.to_dict()
    test.run()
    assert_no_bug(test)
    assert present(test).plan.subject == other_subject
    test.switch_page("pages/6_Evaluate.py").run()
    assert "Evaluate the plan" in text_of(test)


def test_cancel_asks_the_worker_to_stop(open_page: Open, workspace: object) -> None:
    test = open_page("2_Sweep", "running")
    test.button(key="sweep_cancel").click().run()
    assert_no_bug(test)
    assert Store(workspace).runs.get(test.query_params["run"]).cancel_requested  # type: ignore[arg-type]


def test_an_edit_of_the_plan_computes_only_what_it_changes(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found in review: each edit built all edits anew, and all envelopes twice."""
    counts: Counter[str] = Counter()
    for path in ("analysis.plans.apply.edit_for", "analysis.plans.prediction.envelope"):
        original = pkgutil.resolve_name(path)

        def counted(*args: Any, path: str = path, original: Any = original, **more: Any) -> Any:
            counts[path.rpartition(".")[2]] += 1
            return original(*args, **more)

        monkeypatch.setattr(path, counted)
    test = open_page("5_Plan", "done")
    fill_uniform(test, 50)
    count = len(present(test).plan.entries)
    # The fixture's subject may know edits of other tests.
    assert counts["envelope"] == 1
    assert counts["edit_for"] <= count
    counts.clear()
    for number, layer in enumerate(("conv2", "fc1", "conv2"), start=1):
        plan = plans.set_ratio(present(test).plan, layer, 0.1 * number)
        test.session_state["plan_history"] = present(test).do(plan, action="edit")
        test.run()
        assert_no_bug(test)
        assert counts == {"edit_for": number}


def test_the_page_has_one_tolerance(open_page: Open) -> None:
    """A field "Tolerance (pp)" stood beside another, "pp", and Fill used the second."""
    test = open_page("5_Plan", "done")
    (field,) = (item for item in test.number_input if "Tolerance" in item.label)
    # A goal is asked for in a sentence: "lose at most 1 pp".
    own = [item for item in test.number_input if not str(item.key).startswith("goal_")]
    assert not [item for item in own if item.label in ("pp", "%")]
    field.set_value(5.0).run()
    test.button(key="plan_fill").click().run()
    assert_no_bug(test)
    recipe = present(test).plan.recipe
    assert recipe is not None
    assert recipe.tolerance == 0.05
    test.selectbox(key="plan_target_threshold").select("macs").run()
    labels = [item.label for item in test.number_input]
    assert [name for name in labels if "Tolerance" in name] == [field.label]
    assert "MACs left (%)" in labels


def test_a_fill_takes_further_budgets_and_what_each_layer_keeps(open_page: Open) -> None:
    """What the command line can ask for, the page can."""
    test = open_page("5_Plan", "done")
    test.selectbox(key="plan_target_threshold").select("macs").run()
    test.number_input(key="plan_also_params").set_value(60.0).run()
    test.number_input(key="plan_min_kept").set_value(30.0).run()
    test.toggle(key="plan_cautious").set_value(True).run()
    test.button(key="plan_fill").click().run()
    assert_no_bug(test)
    recipe = present(test).plan.recipe
    assert recipe is not None
    assert recipe.budgets == ("macs=0.5", "params=0.6")
    assert (recipe.min_kept, recipe.cautious, recipe.equal) == (0.3, True, False)
    assert all(kept >= 0.3 * total for _, kept, total in counts(test).values())
    said = text_of(test).replace("\N{NO-BREAK SPACE}", " ")
    assert "Parameters left at most 60 %, at least 30.00 % of each layer stay" in said


def test_one_ratio_everywhere(open_page: Open) -> None:
    """59.30 in the table, 59.40 on the slider and 59.38 achieved."""
    test = open_page("5_Plan", "done")
    fill_uniform(test, 59.38)
    row = next(iter(plan_rows(test).values()))
    (slider,) = (item for item in test.slider if item.label == "Ratio removed (%)")
    assert row["ratio"] == slider.value == 59.38
    assert f"Achieved {row['achieved']:.2f}" in text_of(test)
