"""Recovery training in a real browser: trained, stopped, gone on with, used, exported."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page

from analysis.allocation import FIXED, fill_plan
from analysis.edits import prepare
from analysis.plans import start_plan
from analysis.records import Plan, Recipe, SubjectSpec
from analysis.retraining import Jobs, training_table
from analysis.store import Store
from analysis.subjects import load_subject
from tests.browser.conftest import Server
from tests.browser.test_main_job import count_elsewhere, idle, metric, parameter, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SUBJECT = SubjectSpec(
    model="sample:lenet5", data="sample:fashion-mnist", samples=400, calibration_samples=64
)
# Some seconds of training: time enough to stop it in between.
EPOCHS = 30


def half_pruned() -> Plan:
    prepared = prepare(load_subject(SUBJECT))
    start = start_plan(prepared, criterion="l1")
    return fill_plan(prepared, start, "uniform", Recipe(ratio=0.5, criteria=FIXED)).plan


def test_train_stop_go_on_use_and_export(page: Page, server: Server, tmp_path: Path) -> None:
    """A training in the browser, from its recipe to its plan."""
    store = Store(server.workspace)
    plan_id = store.plans.save(half_pruned())
    names = ("model", "data", "samples", "calibration_samples")
    query = {name: getattr(SUBJECT, name) for name in names}
    page.goto(f"{server.url}/Recover?{urlencode({**query, 'plan': plan_id})}")
    page.get_by_text("More", exact=True).click()
    epochs = page.get_by_label("Epochs", exact=True)
    epochs.fill(str(EPOCHS))
    epochs.press("Enter")
    idle(page)
    page.get_by_role("button", name="Train", exact=True).click()

    # Curves move while it is trained, and a stop keeps the checkpoint.
    jobs = Jobs(server.workspace)
    name = parameter(page, "training")
    wait_for(lambda: len(training_table(server.workspace, jobs.get(name))) > 3, "a curve")
    page.get_by_text(re.compile(r"\d+ of [\d,]+ steps")).first.wait_for()
    page.locator(".js-plotly-plot").first.wait_for()
    page.get_by_role("button", name="Stop, keep the checkpoint").click()
    wait_for(lambda: jobs.get(name).state == "cancelled", "the end of the stopped training")
    before = len(training_table(server.workspace, jobs.get(name)))
    assert before > 3
    assert not jobs.get(name).results

    # Another tab notices that it goes on.
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Go on").wait_for(timeout=60_000)
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Use this model").wait_for(timeout=120_000)
    other.get_by_role("button", name="Use this model").wait_for(timeout=60_000)
    other.close()
    assert len(training_table(server.workspace, jobs.get(name))) > before
    shown = metric(page, "after training")
    page.get_by_role("button", name="Use this model").click()
    page.get_by_text("this model is used").wait_for()
    page.get_by_role("button", name="Export").click()

    # The exported script gives in another process what the page showed.
    page.get_by_role("heading", name="Export", exact=True).wait_for()
    page.get_by_text("trained: finetune").first.wait_for()
    page.get_by_text("Everything (zip)").click()
    idle(page)
    page.get_by_role("button", name="Build the files").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").first.click()
    archive = tmp_path / "plan.zip"
    waiting.value.save_as(archive)
    right = count_elsewhere(archive, tmp_path, SUBJECT)
    assert shown == f"{right / 4:.2f}\N{NO-BREAK SPACE}%"
