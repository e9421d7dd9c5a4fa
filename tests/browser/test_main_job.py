"""The main job in a real browser, from an empty workspace to a script that runs elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Locator, Page, expect

from analysis.records.subject import SubjectSpec
from analysis.store.store import Store
from tests.browser.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

# Builds the exported model with torch alone and counts its right answers on the shipped images.
MEASURE = """
import sys
sys.path.insert(0, sys.argv[1])
assert "pruners" not in sys.modules and "analysis" not in sys.modules
import rebuild
import torch
model = rebuild.load()
assert "pruners" not in sys.modules and "analysis" not in sys.modules
data = torch.load(sys.argv[2], weights_only=True)
with torch.inference_mode():
    answers = torch.cat([model(part).argmax(1) for part in data["inputs"].split(250)])
print(int((answers == data["labels"]).sum()))
"""


def wait_for(condition: Callable[[], bool], what: str, *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for: {what}"
        time.sleep(0.1)


def parameter(page: Page, name: str) -> str:
    """Return a parameter of the address, which Streamlit writes a moment after the page."""
    page.wait_for_url(re.compile(rf"[?&]{name}="))
    return parse_qs(urlparse(page.url).query)[name][0]


def open_page(page: Page, name: str) -> None:
    page.get_by_role("link", name=re.compile(rf"^(\w+ )?{name}\b")).first.click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def metric(page: Page, label: str) -> str:
    card = page.get_by_test_id("stMetric").filter(has_text=label).first
    return card.get_by_test_id("stMetricValue").inner_text()


def idle(page: Page) -> None:
    """Wait until the script of the page has ended, with all reruns that the browser knows of."""
    page.locator('[data-test-script-state="notRunning"]').wait_for()


def edit(page: Page, store: Store, *, row: int, field: str, text: str) -> str:
    """Edit a field of the plan's table; return the plan's id, which the first edit gives it."""
    wanted = float(text) / 100 if field == "ratio" else text
    idle(page)
    cell = page.get_by_label(re.compile(f"^{field.capitalize()} of (?!all)")).nth(row)
    if field == "ratio":
        cell.fill(text)
        cell.press("Enter")
    else:
        cell.select_option(text)
    plan_id = parameter(page, "plan")
    wait_for(
        lambda: bool(getattr(store.plans.get(plan_id).entries[row], field) == wanted),
        f"{field} {text} in row {row}",
        seconds=30,
    )
    idle(page)
    return plan_id


def note(page: Page) -> Locator:
    """Return the lines of the live measurement, once they have a count."""
    found = page.get_by_text(re.compile(r"(Measured live|After lsq): \S+ of \S+ right in"))
    found.wait_for()
    return found


def measured(page: Page, store: Store, run_id: str, plan_id: str) -> int:
    """Return the right answers after a plan's repair, once the page shows them.

    Until the browser hears of the next run of the script, the page is idle and shows the last plan.
    """
    identity, plan = store.runs.get(run_id).identity, store.plans.get(plan_id)
    wait_for(lambda: store.measurements.get(plan, identity) is not None, "the measurement")
    kept = store.measurements.get(plan, identity)
    assert kept is not None
    right, samples = kept.sums.count("correct"), kept.sums.samples
    expect(note(page)).to_contain_text(f"After lsq: {right:,} of {samples:,} right in")
    return right


def test_from_an_empty_workspace_to_a_model_that_runs_elsewhere(
    page: Page, own_server: Server, tmp_path: Path
) -> None:
    store = Store(own_server.workspace)
    page.goto(own_server.url)
    page.get_by_role("button", name="Try the demo").click()
    page.get_by_text("Baseline").first.wait_for()

    open_page(page, "Sweep")
    page.get_by_text("Quick look", exact=True).click()
    page.get_by_text("108 new").wait_for()
    page.get_by_role("button", name="Start sweep").click()
    run_id = parameter(page, "run")

    # Curves are there before the sweep ends.
    open_page(page, "Curves")
    page.locator(".js-plotly-plot").first.wait_for(timeout=120_000)
    early = store.runs.get(run_id)
    assert early.state == "running"
    assert 0 < early.samples < early.total_samples

    page.get_by_role("button", name="Cancel").first.click()
    wait_for(lambda: store.runs.get(run_id).state == "cancelled", "the cancelled state")
    kept = store.runs.get(run_id).samples
    assert 0 < kept < early.total_samples
    assert set(store.points.table(run_id)["samples"]) == {kept}

    page.get_by_role("button", name="Resume").first.click()
    wait_for(lambda: store.runs.get(run_id).state == "done", "the end of the sweep", seconds=300)
    assert set(store.points.table(run_id)["samples"]) == {2000}

    # Choose ratios and criteria for several layers; accuracy is measured live.
    open_page(page, "Plan")
    dense = note(page).inner_text()
    assert " of 2,000 right in" in dense
    dense_size = metric(page, "Parameters")
    choices = {1: ("50", "fpgm"), 5: ("25", "taylor"), 10: ("50", "l1")}
    for row, (ratio, criterion) in choices.items():
        plan_id = edit(page, store, row=row, field="ratio", text=ratio)
        if criterion != "l1":
            edit(page, store, row=row, field="criterion", text=criterion)
    pruned = [entry for entry in store.plans.get(plan_id).entries if entry.kept < entry.total]
    assert [(entry.ratio, entry.criterion) for entry in pruned] == [
        (0.5, "fpgm"),
        (0.25, "taylor"),
        (0.5, "l1"),
    ]
    assert metric(page, "Parameters") != dense_size
    changed = measured(page, store, run_id, plan_id)
    assert f" {changed:,} of 2,000 right in" not in dense

    # What the page measured is what the exported script gives elsewhere.
    open_page(page, "Export")
    page.get_by_text("Everything (zip)").click()
    idle(page)
    page.get_by_role("button", name="Build the files").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").first.click()
    archive = tmp_path / "plan.zip"
    waiting.value.save_as(archive)
    subject = store.runs.get(run_id).spec.subject
    assert count_elsewhere(archive, tmp_path, subject) == changed


def count_elsewhere(archive: Path, folder: Path, subject: SubjectSpec) -> int:
    """Unpack an export and measure it in a process that knows torch alone."""
    import torch

    from analysis.subjects.subject import load_subject

    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder / "export")
    script = next((folder / "export").rglob("rebuild.py"))
    plan = json.loads(next((folder / "export").rglob("plan.json")).read_text())
    assert plan["schema_version"] == 2
    split = load_subject(subject).evaluation
    assert split is not None
    batches = list(split.batches(500))
    data = folder / "data.pt"
    torch.save(
        {
            "inputs": torch.cat([inputs for inputs, _ in batches]),
            "labels": torch.cat([labels for _, labels in batches if labels is not None]),
        },
        data,
    )
    measure = folder / "measure.py"
    measure.write_text(textwrap.dedent(MEASURE))
    done = subprocess.run(
        [sys.executable, "-I", str(measure), str(script.parent), str(data)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_an_unknown_run_is_one_clear_line(page: Page, own_server: Server) -> None:
    page.goto(f"{own_server.url}/Curves?run=nosuch")
    page.get_by_text("This link cannot be followed").wait_for()
    page.get_by_role("button", name="Start fresh").wait_for()
    assert page.get_by_text("Traceback").count() == 0


def test_ending_serve_ends_the_server(own_server: Server) -> None:
    assert own_server.process is not None
    own_server.process.terminate()  # the command alone, not its process group
    own_server.process.wait(timeout=20)
    assert not own_server.is_listening()
