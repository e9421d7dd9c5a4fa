"""What a workspace keeps, seen from another browser: by a link, and on the trade-off."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect

from analysis.edits.prepared import prepare
from analysis.plans.apply import start_plan
from analysis.plans.editing import set_ratio
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from analysis.worker.run import run_to_end
from tests.browser.conftest import SLOW, Server
from tests.browser.test_main_job import idle, parameter

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SUBJECT = SubjectSpec(
    model="sample:lenet5", data="sample:fashion-mnist", samples=400, calibration_samples=64
)

# Of an evaluation: score, parameters, MACs, latency.
CARDS = 4


def seen(page: Page, server: Server, query: str, *, rows: int) -> dict[str, list[str]]:
    """Return what the pages of a link say of a plan of so many rows, evaluation and advice.

    Elements may come a moment after their script has ended.
    """
    page.goto(f"{server.url}/Plan?{query}")
    page.get_by_text(re.compile("Measured live|After lsq")).first.wait_for()
    idle(page)
    ratios = page.get_by_role("textbox", name=re.compile("^Ratio of (?!all)"))
    expect(ratios).to_have_count(rows)
    found = {"plan": [ratios.nth(row).input_value() for row in range(ratios.count())]}
    page.goto(f"{server.url}/Evaluate?{query}")
    page.get_by_role("button", name="Evaluate again").wait_for()
    idle(page)
    cards = page.get_by_test_id("stMetric")
    cards.nth(CARDS - 1).wait_for()
    found["evaluation"] = cards.all_inner_texts()
    page.goto(f"{server.url}/Curves?{query}")
    page.locator(".js-plotly-plot").first.wait_for()
    idle(page)
    page.locator(".st-key-curves_advice summary").click()
    page.locator(".st-key-curves_advice").get_by_test_id("stExpanderDetails").wait_for()
    found["advice"] = page.locator(".st-key-curves_advice").all_inner_texts()
    return found


def test_a_second_browser_sees_the_same_after_a_restart(
    page: Page, browser: Browser, own_server: Server
) -> None:
    """A shared link shows the same plan, evaluation and advice."""
    store = Store(own_server.workspace)
    row = run_to_end(store, store.runs.create(SweepSpec(subject=SUBJECT, criteria=("l1",))))
    plan = start_plan(prepare(load_subject(SUBJECT)), criterion="l1", run=row.run_id)
    query = f"run={row.run_id}&plan={store.plans.save(set_ratio(plan, 'conv2', 0.5))}"
    page.goto(f"{own_server.url}/Evaluate?{query}")
    press = page.get_by_role("button", name="Evaluate the plan")
    # As a person does: once the page is drawn, which a plan in its address makes it do twice.
    press.wait_for()
    idle(page)
    press.click()
    page.get_by_role("button", name="Evaluate again").wait_for()
    rows = len(plan.entries)
    before = seen(page, own_server, query, rows=rows)
    assert "50.00" in before["plan"]
    assert all(before.values())
    own_server.stop()
    own_server.start()
    other = browser.new_context()
    other.set_default_timeout(SLOW)
    try:
        assert seen(other.new_page(), own_server, query, rows=rows) == before
    finally:
        other.close()


def test_a_point_of_the_trade_off_in_time_becomes_the_plan(page: Page, own_server: Server) -> None:
    """The plan that was evaluated before, by its latency."""
    (known,) = Store(own_server.workspace).plans.saved()
    names = ("model", "data", "samples", "calibration_samples")
    query = urlencode({name: getattr(SUBJECT, name) for name in names})
    page.goto(f"{own_server.url}/Trade-off?{query}")
    page.get_by_text("Latency", exact=True).click()
    page.get_by_role("button", name=re.compile("^Measure latency of")).click()
    page.locator(".js-plotly-plot .points path.point").first.wait_for()
    idle(page)
    # Where both take equally long, the dense model's star may lie over one of the plan's points.
    # The toast goes after four seconds, which a busy machine may miss; the address stays.
    for point in page.locator(".js-plotly-plot .points path.point").all()[::-1]:
        point.click(force=True)
        with contextlib.suppress(TimeoutError):
            page.wait_for_url(re.compile("[?&]plan="), timeout=10_000)
            break
    plan = Store(own_server.workspace).plans.get(parameter(page, "plan"))
    assert [item.kept for item in plan.entries] == [item.kept for item in known.plan.entries]
