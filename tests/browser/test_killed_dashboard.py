"""The dashboard is killed while a sweep runs that one of its pages started."""

from __future__ import annotations

import os
import signal
import time
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page

from analysis.store.store import Store
from tests.browser.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

# Some seconds of sweeping: time enough to kill the server in between.
SAMPLES = 500


def test_a_sweep_outlives_the_server_and_a_new_one_shows_it(page: Page, own_server: Server) -> None:
    store = Store(own_server.workspace)
    subject = {"model": "sample:resnet20", "data": "sample:fashion-mnist", "samples": SAMPLES}
    page.goto(f"{own_server.url}/Sweep?{urlencode(subject)}")
    page.get_by_text("Quick look", exact=True).click()
    page.get_by_text("108 new").wait_for()
    page.get_by_role("button", name="Start sweep").click()
    while not store.runs.all() or not store.runs.all()[0].progress.done:
        time.sleep(0.05)
    run_id = store.runs.all()[0].run_id

    assert own_server.process is not None
    os.kill(own_server.process.pid, signal.SIGKILL)
    own_server.process.wait(timeout=20)
    while own_server.is_listening():
        time.sleep(0.05)
    done = store.runs.get(run_id).progress.done
    assert store.runs.get(run_id).state == "running"
    own_server.start()
    page.goto(f"{own_server.url}/Sweep?run={run_id}")
    page.get_by_text(f"Run {run_id}").first.wait_for()
    while (row := store.runs.get(run_id)).is_live:
        time.sleep(0.2)
    assert (row.state, row.error) == ("done", "")
    assert row.progress.done == row.progress.total > done
    page.goto(f"{own_server.url}/Curves?run={run_id}")
    page.locator(".js-plotly-plot").first.wait_for()
