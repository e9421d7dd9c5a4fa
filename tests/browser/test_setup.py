"""A subject of one's own in a real browser: uploaded, checked, still there after a refresh."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Locator, Page, expect

from sample_models import load_images
from tests.browser.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=re.compile(label)).first.click()
    page.get_by_role("option", name=option, exact=True).first.click()


def field(page: Page, label: str) -> Locator:
    return page.get_by_role("textbox", name=label).first


def test_an_uploaded_subject_survives_a_refresh(page: Page, server: Server, tmp_path: Path) -> None:
    """F5 on Setup lost all, and there was no upload."""
    import numpy as np

    images, labels = load_images("test")
    np.savez(tmp_path / "my photos.npz", images=images[:300, 0].numpy(), labels=labels[:300])
    page.goto(f"{server.url}/Setup")
    choose(page, "Network", "lenet5")
    expect(field(page, "Model address")).to_have_value("sample:lenet5")
    choose(page, "^Data", "NumPy file")
    expect(field(page, "Data address")).to_have_value("npz:")
    page.get_by_role("button", name="Upload").last.click()
    page.locator("input[type=file]").last.set_input_files(tmp_path / "my photos.npz")
    address = field(page, "Data address")
    expect(address).to_have_value(re.compile("uploads"))
    kept = list((server.workspace / "uploads").iterdir())
    assert [path.name[:10] for path in kept] == ["my-photos-"]
    page.keyboard.press("Escape")
    field(page, "Mean").fill("0.286")
    field(page, "Mean").press("Enter")
    expect(address).to_have_value(re.compile("#mean=0.286$"))
    page.get_by_role("button", name="Check and measure baseline").click()
    baseline = page.get_by_text(re.compile("^Baseline|check_circle Baseline|Baseline"))
    baseline.first.wait_for()
    expect(page.get_by_text("What the network is fed")).to_be_visible()
    said = baseline.first.inner_text()
    assert "240" in said
    page.wait_for_url(re.compile("data=npz"))
    query = parse_qs(urlparse(page.url).query)
    assert query["model"] == ["sample:lenet5"]
    assert query["data"] == [f"npz:{kept[0]}#mean=0.286"]

    page.reload()
    baseline.first.wait_for()
    assert baseline.first.inner_text() == said
    expect(field(page, "Data address")).to_have_value(f"npz:{kept[0]}#mean=0.286")
    page.get_by_role("link", name="Sweep").first.click()
    page.get_by_role("button", name="Start sweep").wait_for()
    page.reload()
    page.get_by_role("button", name="Start sweep").wait_for()
    page.get_by_role("button", name="Copy as code").click()
    page.get_by_text("prunescope sweep").first.wait_for()


def test_undo_by_keys_while_the_table_has_the_focus(page: Page, server: Server) -> None:
    """The table kept Alt+Z to itself."""
    page.goto(f"{server.url}/Plan?model=sample:lenet5&data=sample:fashion-mnist&samples=200")
    size = page.get_by_test_id("stMetricValue").first
    size.wait_for()
    dense = size.inner_text()
    page.get_by_role("button", name="Fill", exact=True).click()
    expect(size).not_to_have_text(dense)
    pruned = size.inner_text()
    page.locator('[data-test-script-state="notRunning"]').wait_for()
    page.get_by_label(re.compile("^Ratio of conv1")).click()
    page.keyboard.press("Alt+z")
    expect(size).to_have_text(dense)
    page.locator('[data-test-script-state="notRunning"]').wait_for()
    page.keyboard.press("Alt+Shift+Z")
    expect(size).to_have_text(pruned)
