"""Goal first in a real browser: from an empty workspace to a script that runs elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page

from analysis.records.subject import SubjectSpec
from analysis.store.store import Store
from tests.browser.conftest import Server
from tests.browser.test_main_job import count_elsewhere, idle, metric

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SUBJECT = SubjectSpec(
    model="sample:lenet5", data="sample:fashion-mnist", samples=400, calibration_samples=64
)


def test_goal_first_answer_export_and_the_same_count_elsewhere(
    page: Page, server: Server, tmp_path: Path
) -> None:
    """A goal is searched for, also over a refresh of the browser while it searches."""
    names = ("model", "data", "samples", "calibration_samples")
    query = urlencode({name: getattr(SUBJECT, name) for name in names})
    page.goto(f"{server.url}/?{query}")
    page.get_by_role("button", name="Find a smaller model").click()
    page.get_by_text(re.compile("^Searching: at most 1.00")).wait_for()
    page.wait_for_url(re.compile("[?&]goal="))
    page.reload()
    page.get_by_role("button", name="Export").wait_for(timeout=180_000)
    shown = metric(page, "Accuracy")
    page.get_by_role("button", name="Export").click()
    page.get_by_role("heading", name="Export", exact=True).wait_for()
    page.get_by_text("Evaluated (repaired by lsq)").wait_for()
    page.get_by_text("Everything (zip)").click()
    idle(page)
    page.get_by_role("button", name="Build the files").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").first.click()
    archive = tmp_path / "plan.zip"
    waiting.value.save_as(archive)
    right = count_elsewhere(archive, tmp_path, SUBJECT)
    assert shown == f"{right / 4:.2f}\N{NO-BREAK SPACE}%"
    found = [saved.plan.strategy for saved in Store(server.workspace).plans.saved()]
    assert found.count("search") == 1
