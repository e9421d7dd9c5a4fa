"""Goal first on Home and Plan, and the trade-off: without a browser, jobs done in this process."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analysis.edits.prepared import PreparedSubject
from analysis.records.plan import Recipe
from analysis.records.progress import Progress
from analysis.records.run import FAILED, INTERRUPTED, QUEUED, RUNNING
from analysis.retraining.presets import PRESETS
from analysis.search.goal import MORE
from analysis.shrinking.jobs import Jobs
from analysis.shrinking.records import TRADE_OFF, Job, Order
from analysis.shrinking.steps import iter_job
from analysis.store.store import Store, statistics_folder
from tests.pages.reading import SUBJECT, Open, assert_no_bug, shown, text_of

ORDERS: list[Order] = []


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, prepared: PreparedSubject, workspace: Path) -> None:
    """Do jobs in this process, on the subject that is in memory."""
    ORDERS.clear()

    def start(self: Jobs, order: Order, *, roots: Sequence[Path] | None = None) -> str:
        ORDERS.append(order)
        for job in iter_job(Job(order=order), lambda spec: prepared, Store(workspace)):
            self.save(job)
        return order.job_id

    monkeypatch.setattr(Jobs, "start", start)
    for module in ("search", "verdict"):
        monkeypatch.setattr(f"analysis.search.{module}.search_data", _few)
    monkeypatch.setattr("analysis.shrinking.records.SECONDS", 1.0)


def _few(subject: Any) -> Any:
    from analysis.search.data import search_data

    return search_data(subject, samples=200)


def _ask(test: AppTest) -> None:
    test.checkbox(key="goal_by_drop").set_value(False).run()
    test.checkbox(key="goal_by_size").set_value(True).run()
    test.number_input(key="goal_times").set_value(1.5).run()
    test.button(key="goal_start").click().run()
    assert_no_bug(test)


def test_home_goes_from_a_goal_to_a_plan(open_page: Open, workspace: Path) -> None:
    test = open_page("Home", subject=SUBJECT)
    assert_no_bug(test)
    assert "Say what you want" in text_of(test)
    _ask(test)
    assert ORDERS[0].recipe.budgets == ("macs=0.666667",)
    assert ORDERS[0].recipe.criteria == "best"
    assert ORDERS[0].plan is None
    said = text_of(test)
    assert "repaired by lsq without training" in said
    assert "Measured on 120 samples that the search did not see" in said
    assert "Worst class" in said or "No class loses" in said
    accuracy = next(item.value for item in test.metric if item.label == "Accuracy")
    # Whoever opens the link finds it again.
    again = open_page("Home", subject=SUBJECT, goal=ORDERS[0].job_id)
    assert "Measured on 120 samples" in text_of(again)
    # Whether a time holds is told where the answer is, without a click.
    job = Jobs(workspace).get(ORDERS[0].job_id)
    order = dataclasses.replace(job.order, recipe=Recipe(budgets=("latency=0.7",)))
    Jobs(workspace).save(dataclasses.replace(job, order=order))
    for name, is_open in ((order.job_id, True), (job.job_id, False)):
        again = open_page("Home", subject=SUBJECT, goal=name)
        (how,) = (item for item in again.expander if item.label == "How it was found")
        assert how.proto.expanded is is_open
    # An answer that removes nothing is said: only its sizes told.
    assert "Nothing smaller" not in text_of(again)
    assert job.evaluation is not None
    whole = {**job.evaluation, "removed": job.evaluation["dense"]}
    Jobs(workspace).save(dataclasses.replace(job, evaluation=whole))
    said = text_of(open_page("Home", subject=SUBJECT, goal=job.job_id))
    assert "Nothing smaller was found that holds: search longer, or allow" in said
    assert "The dense lenet5" in said
    Jobs(workspace).save(job)
    test.button(key="goal_adjust").click().run()
    assert_no_bug(test)
    plan = test.session_state["plan_history"].plan
    assert (plan.strategy, plan.repair) == ("search", "lsq")
    test.switch_page("pages/5_Plan.py").run()
    assert_no_bug(test)
    shown = {item.label: item.value for item in test.metric}
    assert shown["Measured accuracy after lsq"] == accuracy
    test.switch_page("pages/7_Export.py").run()
    assert "Evaluated (repaired by lsq)" in text_of(test)


def test_fill_by_search_keeps_locks_and_budgets(open_page: Open) -> None:
    test = open_page("5_Plan", subject=SUBJECT)
    test.selectbox(key="plan_strategy").select("search").run()
    test.selectbox(key="plan_target_search").select("macs").run()
    test.number_input(key="plan_amount_macs").set_value(80.0).run()
    test.button(key="plan_fill").click().run()
    assert_no_bug(test)
    (order,) = ORDERS
    assert order.recipe.budgets == ("macs=0.8",)
    assert order.plan is not None
    assert "Measured on 120 samples" in text_of(test)


def test_a_job_under_way_says_how_far_it_is_and_can_be_stopped(
    open_page: Open, workspace: Path
) -> None:
    order = Order(subject=SUBJECT)
    now = time.time()
    job = Job(
        order=order, state=RUNNING, stage="Trading between layers", started=now, changed=now + 5,
        share=0.61, drop=0.0075, eta_seconds=42.0, searched_on="4,000 other samples of the data",
    )  # fmt: skip
    Jobs(workspace).save(job)
    test = open_page("Home", subject=SUBJECT, goal=job.job_id)
    assert_no_bug(test)
    said = text_of(test)
    assert "Best so far: **61.0" in said
    assert "0.75" in said
    test.button(key=f"goal_stop_{job.job_id}").click().run()
    assert Jobs(workspace).is_stopped(job.job_id)
    # The bar ran ahead while the process started, and back when it searched.
    Jobs(workspace).save(dataclasses.replace(job, state=QUEUED, stage="Starting", eta_seconds=None))
    (bar,) = test.run().get("progress")
    assert (bar.proto.value, bar.proto.text) == (0, "Starting")


def test_a_trade_off_under_way_does_not_offer_the_button(open_page: Open, workspace: Path) -> None:
    job = Job(order=Order(subject=SUBJECT, kind=TRADE_OFF), state=RUNNING, started=time.time())
    job = dataclasses.replace(job, changed=time.time() + 5)
    Jobs(workspace).save(job)
    test = open_page("10_Trade-off", subject=SUBJECT)
    assert_no_bug(test)
    assert "No plan was measured yet" in text_of(test)
    assert "The button searches" not in text_of(test)


def test_the_reason_of_a_failure_is_shown_as_it_is(open_page: Open, workspace: Path) -> None:
    """An error's text was read as Markdown: a file's name drew a link or a picture."""
    job = Job(order=Order(subject=SUBJECT), state=FAILED, error="no ![x](http://a.b/c) *there*")
    Jobs(workspace).save(job)
    test = open_page("Home", subject=SUBJECT, goal=job.job_id)
    assert_no_bug(test)
    assert r"no \!\[x\]\(http\://a.b/c\) \*there\*." in text_of(test)
    test.button(key=f"goal_resume_{job.job_id}")
    Jobs(workspace).save(dataclasses.replace(job, comes_again=True))
    test.run()
    assert_no_bug(test)
    assert r"*there\*." in text_of(test)
    assert "It would end there again" in text_of(test)
    assert "Try again" not in [item.label for item in test.button]


def test_a_link_to_an_unknown_job_is_no_error(open_page: Open) -> None:
    test = open_page("Home", subject=SUBJECT, goal="j-nosuch")
    assert_no_bug(test)
    assert not test.error


def test_the_trade_off_is_measured_and_a_point_becomes_the_plan(
    open_page: Open, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages.components.trade_off.LEVELS", (0.8, 0.5, 0.0001))
    test = open_page("10_Trade-off", subject=SUBJECT)
    assert_no_bug(test)
    assert "Nothing was measured yet" in text_of(test)
    test.button(key="trade_off_start").click().run()
    assert_no_bug(test)
    assert ORDERS[0].levels == (0.8, 0.5, 0.0001)
    assert "Left out: at most 0.0\N{NO-BREAK SPACE}% of the MACs is out of reach" in text_of(test)
    # The list of plans says how large they are, and what they measured: it said neither.
    kept = Store(workspace).plans.saved()
    assert kept
    assert all(item.macs_left is not None and 0 < item.macs_left <= 0.8 for item in kept)
    rows = open_page("9_Plans", subject=SUBJECT).dataframe[0].value
    assert not set(rows["measured"]) & {"\N{EN DASH}"}
    names = list(test.select_slider(key="trade_off_chosen").options)
    assert len(names) >= 2
    shown = next(str(item.value) for item in test.metric if item.label.startswith("Accuracy"))
    test.button(key="trade_off_use").click().run()
    assert_no_bug(test)
    plan = test.session_state["plan_history"].plan
    assert plan.strategy == "search"
    # The sidebar was drawn before the plan was taken, with the one before.
    assert any("parameters" in str(item.value) for item in test.sidebar.markdown)
    # Nor did it say so of the one that was taken, which was listed a second time.
    assert Store(workspace).plans.saved_as(test.query_params["plan"]).macs_left is not None
    assert {item.plan_id for item in Store(workspace).plans.saved()} == {
        item.plan_id for item in kept
    }
    test.switch_page("pages/5_Plan.py").run()
    after = f" after {plan.repair}" if plan.repair != "none" else ""
    measured = {item.label: item.value for item in test.metric}
    assert measured[f"Measured accuracy{after}"] == shown


def test_the_goal_asks_for_a_training_and_tells_of_it(
    open_page: Open,
    prepared: PreparedSubject,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The goal-first page offers training after the search."""
    for name, value in {"steps": 2, "batch_size": 32, "lr": 0.02}.items():
        monkeypatch.setitem(PRESETS.get("quick").fields, name, value)
    monkeypatch.setattr(prepared, "cache_folder", statistics_folder(workspace))
    test = open_page("Home", subject=SUBJECT)
    assert list(test.selectbox(key="goal_recover").options) == [
        *("No", "Quick", "Standard", "Thorough"),
    ]
    assert "goal_train_data" not in [item.key for item in test.text_input]
    test.selectbox(key="goal_recover").select("quick").run()
    assert "at most 3 trainings" in text_of(test)
    _ask(test)
    assert (ORDERS[0].recover, ORDERS[0].train_data) == ("quick", "")
    assert "trained: finetune" in shown(text_of(test))
    test.text_input(key="goal_train_data").set_value("images:elsewhere").run()
    assert "trains once" in text_of(test)


def test_a_training_under_way_shows_its_steps(open_page: Open, workspace: Path) -> None:
    order = Order(subject=SUBJECT, recipe=Recipe(budgets=("drop=0.01",)), recover="quick")
    now = time.time()
    job = Job(
        order=order, state=RUNNING, stage="Training", started=now, changed=now + 5,
        progress=Progress(30, 150, "steps"), share=0.38, drop=0.021, eta_seconds=42.0,
        news=("The search ended after 9 plans: the time is over.",),
    )  # fmt: skip
    Jobs(workspace).save(job)
    said = text_of(open_page("Home", subject=SUBJECT, goal=job.job_id))
    assert "quick training" in said
    assert "Before the training: **38.0" in said
    assert "The search ended after 9 plans" in said


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        (
            INTERRUPTED,
            "its process was killed (SIGKILL)",
            "lost): its process was killed (SIGKILL); what it tried is kept.",
        ),
        (INTERRUPTED, "", "its process stopped answering; what it tried is kept."),
        (FAILED, "there is no file a.npz; did you mean b.npz?", "did you mean b.npz?"),
        (
            FAILED,
            "there are no others; evaluate fewer (--samples) or name data (--calibration-data)",
            'evaluate fewer ("Evaluation samples" on Setup) or name data ("Other data for '
            'calibration" on Setup).',
        ),
    ],
)
def test_how_a_search_ended_is_said_for_who_sees_pages(
    state: str, error: str, said: str, open_page: Open, workspace: Path
) -> None:
    """A code of a process, a point after a question, and options of commands stood on Home."""
    order = Order(subject=SUBJECT, recipe=Recipe(budgets=("drop=0.01",), criteria="best"))
    job = Job(order=order, state=state, error=error, started=time.time(), changed=time.time())
    Jobs(workspace).save(job)
    test = open_page("Home", subject=SUBJECT)
    assert_no_bug(test)
    found = shown(text_of(test))
    assert said in found
    assert f"{said}." not in found
    assert test.button(key=f"goal_resume_{order.job_id}").label == (
        "Try again" if state == FAILED else "Go on"
    )


def test_news_of_a_search_name_the_controls_of_pages(open_page: Open, workspace: Path) -> None:
    order = Order(subject=SUBJECT, recipe=Recipe(budgets=("drop=0.01",), criteria="best"))
    job = Job(order=order, state=RUNNING, started=time.time(), changed=time.time(), news=(MORE,))
    Jobs(workspace).save(job)
    found = shown(text_of(open_page("Home", subject=SUBJECT)))
    assert 'evaluate fewer by "Evaluation samples" on Setup' in found
    assert "--samples" not in found
    assert "--calibration-data" not in found


def test_a_trade_off_keeps_to_no_limit(open_page: Open, workspace: Path) -> None:
    order = Order(subject=SUBJECT, kind=TRADE_OFF, recipe=Recipe(criteria="best"))
    job = Job(order=order, state=RUNNING, started=time.time(), changed=time.time())
    Jobs(workspace).save(job)
    found = text_of(open_page("10_Trade-off", subject=SUBJECT))
    assert "No plan was measured yet" in found
    assert "keeps to it" not in found
