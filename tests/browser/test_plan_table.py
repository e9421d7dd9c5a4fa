"""The plan's table under fast hands, beside a busy machine."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page

from analysis.store.store import Store
from tests.browser.conftest import Server
from tests.browser.test_main_job import parameter, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

# Milliseconds between two keys.
PACE = 100
EDITS = 30


@contextlib.contextmanager
def busy_machine() -> Iterator[None]:
    """Keep all processors busy, as another user's sweep does; other workers' tests do that too."""
    others = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) - 1
    burners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range((os.cpu_count() or 2) - others)
    ]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def type_column(first: Locator, values: list[str]) -> None:
    """Type one value after the other, without a pause."""
    first.focus()
    for value in values:
        for key in [*value, "Enter"]:
            first.page.keyboard.press(key)
            first.page.wait_for_timeout(PACE)


def test_no_edit_of_the_table_is_lost(page: Page, server: Server) -> None:
    """Of values typed row after row, up to half vanished without a word."""
    store = Store(server.workspace)
    page.goto(f"{server.url}/Plan?model=sample:resnet20&data=sample:fashion-mnist&samples=250")
    fields = page.get_by_role("textbox", name=re.compile("^Ratio of (?!all)"))
    fields.first.wait_for()
    rows = fields.count()

    def has(wanted: list[float], plan_id: str) -> bool:
        entries = store.plans.get(plan_id).entries
        return [round(entry.ratio * 100, 6) for entry in entries] == wanted

    wanted = [0.0] * rows
    with busy_machine():
        for done in range(0, EDITS, rows):
            typed = [str((done + row) % 9 + 1) for row in range(min(rows, EDITS - done))]
            wanted[: len(typed)] = map(float, typed)
            type_column(fields.first, typed)
            plan_id = parameter(page, "plan")
            wait_for(functools.partial(has, wanted, plan_id), f"all of {wanted}", seconds=60)
            assert [float(fields.nth(row).input_value()) for row in range(rows)] == wanted


def test_all_columns_fit_where_the_page_is_narrow(page: Page, server: Server) -> None:
    """At 1024 pixels the columns on the right had to be scrolled to."""
    page.set_viewport_size({"width": 1024, "height": 900})
    page.goto(f"{server.url}/Plan?model=sample:resnet20&data=sample:fashion-mnist&samples=250")
    page.get_by_role("textbox", name=re.compile("^Ratio of (?!all)")).first.wait_for()
    frame = page.locator(".frame")
    assert frame.locator("thead th.drop").is_visible()
    assert frame.evaluate("it => it.scrollWidth - it.clientWidth") == 0
    # On a phone each row has two lines.
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("document.documentElement.clientWidth === 390")
    last = frame.locator("tbody td.drop").first.bounding_box()
    whole = frame.bounding_box()
    assert last is not None
    assert whole is not None
    assert whole["width"] < 390
    assert last["x"] + last["width"] <= whole["x"] + whole["width"]
    assert frame.evaluate("it => it.scrollWidth - it.clientWidth") == 0


# Texts of the cards that are wider than what holds them.
CUT = """() => [...document.querySelectorAll('[data-testid="stMetric"] p')].filter(text => {
  const range = document.createRange();
  range.selectNodeContents(text);
  return range.getBoundingClientRect().right > text.parentElement.getBoundingClientRect().right + 1;
}).map(text => text.innerText)"""
INK = "() => getComputedStyle(document.querySelector('.js-plotly-plot text')).fill"


def test_cards_are_whole_and_charts_follow_the_theme(page: Page, server: Server) -> None:
    """At 1280 pixels labels and intervals of the cards ended in dots."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{server.url}/Plan?model=sample:resnet20&data=sample:fashion-mnist&samples=250")
    field = page.get_by_role("textbox", name=re.compile("^Ratio of (?!all)")).nth(1)
    field.fill("50")
    field.press("Enter")
    page.get_by_test_id("stMetric").filter(has_text="after lsq").get_by_text("to").wait_for()
    assert page.evaluate(CUT) == []
    page.locator(".js-plotly-plot text").first.wait_for()
    before = page.evaluate(INK)
    page.emulate_media(color_scheme="dark")
    wait_for(lambda: page.evaluate(INK) != before, "charts in the colours of the dark theme")
    # On touch screens the mode bar was always on, over the legends.
    bar = page.locator(".js-plotly-plot .modebar-container").first
    assert bar.evaluate("it => getComputedStyle(it).display") != "none"
    touch = {"enabled": True, "maxTouchPoints": 1}
    page.context.new_cdp_session(page).send("Emulation.setTouchEmulationEnabled", touch)
    assert bar.evaluate("it => getComputedStyle(it).display") == "none"
