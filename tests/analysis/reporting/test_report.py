"""Reports: complete, right to the digit, and without anything from elsewhere."""

from __future__ import annotations

import dataclasses
import json
import re
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import pandas as pd
import pytest

from analysis.curves import columns
from analysis.records import ClassChange, Evaluation, Identity, MeasuredModel, Recipe, Sums
from analysis.records.inventory import GroupRow, Inventory, MemberRow
from analysis.records.plan import Plan, PlanEntry
from analysis.records.subject import SubjectSpec
from analysis.reporting.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    REACH,
    RIGHT,
    TOP,
    WIDTHS,
    class_chart,
    drop_curves,
)
from analysis.reporting.report import Report, report_html
from analysis.tasks import scoring_of

ENTRY = PlanEntry(
    layer="conv<1>",
    group="conv<1>",
    criterion="l1",
    granularity="channel",
    ratio=0.4,
    kept=3,
    total=4,
    indices=(0, 1, 3),
)
PLAN = Plan(
    subject=SubjectSpec(model="sample:lenet5", data="npz:a&b.npz", calibration_samples=64),
    fingerprint="w",
    entries=(ENTRY, dataclasses.replace(ENTRY, layer="fc", group="fc", kept=4)),
    repair="lsq",
)


def model(name: str, right: int, lost: int, params: int) -> MeasuredModel:
    terms = {"correct": right, "gained": 0, "lost": lost, "agree": 200, "loss": 1.0, "kl": 0.0}
    sums, scoring = Sums(samples=200, terms=terms), scoring_of("classification")
    score, drop = scoring.score_interval(sums), scoring.drop_interval(sums)
    return MeasuredModel(
        name=name,
        sums=sums,
        accuracy=scoring.score(sums),
        low=score.low,
        high=score.high,
        drop=scoring.drop(sums),
        drop_low=drop.low,
        drop_high=drop.high,
        params=params,
        nonzero=params,
        macs=10 * params,
        file_bytes=4 * params,
    )


EVALUATION = Evaluation(
    samples=200,
    labelled=True,
    dense=model("dense", 188, 0, 61706),
    removed=model("removed", 185, 3, 30853),
    classes=(
        ClassChange(
            class_name="<b>shirt</b>",
            samples=20,
            dense=0.8,
            pruned=0.65,
            change=-0.15,
            change_low=-0.3,
            change_high=-0.01,
            clear=True,
        ),
    ),
    repair="lsq",
)
REPORT = Report(
    plan=PLAN,
    evaluation=EVALUATION,
    identity=Identity(weights="abc", data="def", program="2.9:x"),
    title="Plan <script>alert(1)</script>",
    note="for the phone & the tablet",
)


class Parsed(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def points(rows: list[tuple[str, int, float]]) -> pd.DataFrame:
    known = [
        {
            "criterion": "l1",
            "granularity": "channel",
            "layer": layer,
            "group": layer,
            "ratio_requested": 1 - kept / 4,
            "ratio_achieved": 1 - kept / 4,
            "kept": kept,
            "total": 4,
            "accuracy": 0.94 - drop,
            "accuracy_drop": drop,
            "status": "measured",
        }
        for layer, kept, drop in rows
    ]
    return pd.DataFrame(known, columns=list(columns()))


def test_a_report_is_one_page_that_asks_for_nothing_from_elsewhere() -> None:
    page = report_html(dataclasses.replace(REPORT, points=points([("conv<1>", 2, 0.02)])))
    parsed = Parsed(page)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in parsed.tags}
    assert not [name for _, given in parsed.tags for name in given if name in ("src", "href")]
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;b&gt;shirt&lt;/b&gt;" in page
    assert len(page) < 100_000


def test_a_report_says_what_was_measured_and_how_to_do_it_again() -> None:
    said = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", report_html(REPORT))))
    for text in (
        "92.50 % 88.00 % to 95.40 %",  # 185 of 200, Wilson
        "94.00 % (89.81 % to 96.53 %), 188 of 200",
        "1.50 pp",
        "15.00 pp (1.00 to 30.00)",
        "50.0 % 308,530 of 617,060 a sample",
        "sample:lenet5",
        "npz:a&b.npz",
        "conv<1> L1 norm channel 3 4 25.0 %",
        "on up to 64 calibration samples that are not evaluated",
        "for the phone & the tablet",
        "prunescope evaluate --plan plan.json",
    ):
        assert text in said, text
    assert "fc L1 norm" not in said
    (kept,) = re.findall(r"<summary>plan.json</summary><pre>(.*?)</pre>", report_html(REPORT), re.S)
    plan = Plan.from_dict(json.loads(unescape(kept)))
    assert plan == dataclasses.replace(PLAN, entries=(ENTRY,))


def test_a_report_names_all_layers_of_a_group() -> None:
    members = tuple(
        MemberRow(name=f"{name}.weight", dim=0, role="producer") for name in ("conv<1>", "skip<2>")
    )
    group = GroupRow(id="conv<1>", members=members, channels=4, prunable=True, reason="")
    inventory = Inventory(params=10, macs=10, layers=(), groups=(group,))
    page = report_html(dataclasses.replace(REPORT, inventory=inventory))
    said = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))
    assert "conv<1> with skip<2> L1 norm channel 3 4 25.0 %" in said


@pytest.mark.parametrize("name", WIDTHS)
@pytest.mark.parametrize(("drop", "is_cut"), [(0.01, False), (0.5, True)])
def test_curves_are_drawn_where_their_numbers_are(drop: float, is_cut: bool, name: str) -> None:
    table = points([("conv<1>", 2, drop), ("other", 2, 0.0)])
    words = scoring_of("classification").words
    chart, text = drop_curves(table, PLAN, words, tolerance=0.02)
    width, drawn = WIDTHS[name], re.findall(r"<svg.*?</svg>", chart)
    (svg,) = (item for item in map(ElementTree.fromstring, drawn) if item.get("class") == name)
    assert (svg.get("viewBox") or "").split() == ["0", "0", str(width), str(HEIGHT)]
    lines = {item[0].text: item for item in svg.iter("polyline")}
    assert {item.get("class") for item in lines.values()} == {"context", "s0"}
    first, last = (lines["conv<1>"].get("points") or "").split()
    inner = HEIGHT - TOP - BOTTOM
    reach = REACH * 0.02
    y = HEIGHT - BOTTOM - inner * min(drop / reach, 1.0)
    assert first == f"{LEFT:.1f},{HEIGHT - BOTTOM:.1f}"
    # What goes on above the edge ends where it meets it: its slope is that of its numbers.
    x = LEFT + 0.5 * min(reach / drop, 1.0) * (width - LEFT - RIGHT)
    assert last == f"{x:.1f},{y:.1f}"
    # The plan takes a quarter: half way on the line from nothing to a half.
    (mark,) = svg.iter("circle")
    half = HEIGHT - BOTTOM - inner * min(drop / 2 / (REACH * 0.02), 1.0)
    assert float(mark.get("cx") or 0) == pytest.approx(
        LEFT + 0.25 * (width - LEFT - RIGHT), abs=0.1
    )
    assert float(mark.get("cy") or 0) == pytest.approx(half, abs=0.1)
    assert ("are cut off" in text) == is_cut


def test_a_telephone_gets_charts_of_its_own_width() -> None:
    """They were those of a page at half the size: letters of 6 pixels."""
    change = ClassChange(
        class_name="Shirt", samples=9, dense=0.9, pruned=0.5,
        change=-0.4, change_low=-0.6, change_high=-0.2, clear=True,
    )  # fmt: skip
    drawn, _ = class_chart([change])
    widths = re.findall(r'<svg class="(\w+)" viewBox="0 0 (\d+)', drawn)
    assert widths == [("wide", "720"), ("narrow", "340")]
    style = re.sub(r"\s+", " ", report_html(REPORT))
    assert "svg.narrow { display: none; }" in style
    assert "@media (max-width: 36rem) { svg.wide { display: none; } svg.narrow {" in style


def test_without_curves_there_is_no_chart() -> None:
    words = scoring_of("classification").words
    failed = points([("conv<1>", 2, float("nan"))])
    assert drop_curves(failed, PLAN, words, tolerance=0.01) == ("", "")
    assert "<h2>Curves</h2>" not in report_html(REPORT)


def test_a_trained_plan_says_that_its_weights_are_needed() -> None:
    """With the plan file alone, "Do it again" ended with missing weights."""
    plan = PLAN.trained_as("ab" * 32, "finetune, 3 epochs")
    told = "the trained weights, which no plan file has"
    assert told not in report_html(REPORT)
    page = report_html(dataclasses.replace(REPORT, plan=plan))
    assert told in page
    assert f"trained/{plan.training}.safetensors" in page


def test_what_was_asked_for_is_in_the_words_of_the_task() -> None:
    """It was a raw fraction."""
    plan = dataclasses.replace(PLAN, recipe=Recipe(tolerance=0.01))
    assert "tolerance 1.00 pp" in report_html(dataclasses.replace(REPORT, plan=plan))
