"""The Import page, and Curves with an imported run beside a measured one."""

from __future__ import annotations

import json
from pathlib import Path

from analysis.imports import ImportRequest, format_of, imported_run, read_result
from analysis.store import Store
from tests.pages.reading import SUBJECT, Open, assert_no_bug, shown, text_of

NNI = b"layername,0.25,0.5,0.75\r\nmodule.conv1,0.85,0.7,0.2\r\nconv2,0.86,0.8\r\n"
SAID = {
    "unit": "fraction",
    "direction": "higher",
    "granularity": "channel",
    "baseline": "0.87",
    "criterion": "l1",
}


def test_a_file_is_asked_about_and_becomes_a_run(open_page: Open, workspace: Path) -> None:
    test = open_page("12_Import", subject=SUBJECT)
    assert_no_bug(test)
    test.file_uploader(key="import_file").upload("sens.csv", NNI, "text/csv").run()
    assert 'NNI (CSV) says "What a level says: Pruned".' in shown(text_of(test))
    assert (
        "what the numbers are, which are better, what was pruned, dense model's number"
        in text_of(test)
    )
    test.selectbox(key="import_said_unit").select("fraction").run()
    for name, answer in SAID.items():
        if name == "baseline":
            test.text_input(key="import_said_baseline").input(answer)
        elif name != "unit":
            test.selectbox(key=f"import_said_{name}").select(answer)
    test.run()
    assert_no_bug(test)
    assert "5 points of 2 layers" in text_of(test)
    assert r"1 layer ended early" in text_of(test)
    test.button(key="import_go").click().run()
    assert_no_bug(test)
    (row,) = Store(workspace).runs.all()
    assert row.source is not None
    assert row.source.said == SAID
    assert row.spec.subject == SUBJECT
    table = Store(workspace).points.table(row.run_id)
    # LeNet-5 has 6 and 16 filters in its convolutions: int(0.25 * 6) = 1 goes, and so on.
    assert table["kept"].tolist() == [5, 3, 2, 12, 8]


def test_imported_curves_are_drawn_beside_measured_ones(open_page: Open, workspace: Path) -> None:
    test = open_page("3_Curves", "done")
    store = Store(workspace)
    chosen = format_of(NNI, "sens.csv")
    request = ImportRequest(file="sens.csv", content=NNI, said=SAID)
    run_id = imported_run(request, chosen, read_result(NNI, chosen, "sens.csv")).save(store)
    test.run()
    assert_no_bug(test)
    drawn = [json.loads(item.proto.spec) for item in test.get("plotly_chart")]
    names = {str(trace["name"]) for spec in drawn for trace in spec["data"]}
    assert {"conv1, sens.csv", "L1 norm, sens.csv"} <= names
    # The imported run alone: curves without bands, no counts, and where they are from.
    test.query_params["run"] = run_id
    test.run()
    assert_no_bug(test)
    said = text_of(test)
    assert r"**Imported** from sens" in said
    # By the controls of Import, not by the options of the command.
    assert (
        'written by NNI (CSV); you said "What the numbers are: Fractions", "Which are better: '
        'Higher", "What was pruned: Output channels", "Dense model\'s number: 0.87", "Criterion: '
        'L1 norm".'
    ) in shown(said)
    assert "nan" not in said.lower().replace("dominan", "")
    assert "half" in test.dataframe(key="curves_table").value
    # A file that ends before a half has no such column.
    short = b"layername,0.1,0.25\r\nconv1,0.86,0.85\r\n"
    request = ImportRequest(file="short.csv", content=short, said=SAID)
    run_id = imported_run(request, chosen, read_result(short, chosen, "short.csv")).save(store)
    test.query_params["run"] = run_id
    test.run()
    assert_no_bug(test)
    assert "half" not in test.dataframe(key="curves_table").value
    for page in ("4_Compare", "5_Plan", "8_Runs", "2_Sweep", "1_Setup"):
        assert_no_bug(test.switch_page(f"pages/{page}.py").run())


def test_curves_of_another_network_are_not_drawn_beside(open_page: Open, workspace: Path) -> None:
    """A file of ResNet-20 stood beside LeNet-5, as both have a conv1."""
    test = open_page("3_Curves", "done")
    other = b"layername,0.25,0.5\r\nconv1,0.85,0.7\r\nlayer1.0.conv1,0.86,0.8\r\nfc,0.8,0.1\r\n"
    store = Store(workspace)
    chosen = format_of(other, "other.csv")
    request = ImportRequest(file="other.csv", content=other, said=SAID)
    run_id = imported_run(request, chosen, read_result(other, chosen, "other.csv")).save(store)
    test.run()
    assert_no_bug(test)
    assert "other" not in str([item.proto.spec for item in test.get("plotly_chart")])
    assert not [item for item in test.selectbox if item.label == "Drawn beside"]
    test.query_params["run"] = run_id
    test.run()
    assert_no_bug(test)
    # Columns that say nothing of a file without counts are left out.
    shown = test.dataframe(key="curves_table").value
    assert list(shown.columns) == ["layer", "tolerated", "half", "rank", "curve"]


def test_a_file_of_one_criterion_is_not_sent_to_a_sweep(open_page: Open, workspace: Path) -> None:
    """Its curves have no model: the page behind the button said so."""
    store = Store(workspace)
    chosen = format_of(NNI, "sens.csv")
    request = ImportRequest(file="sens.csv", content=NNI, said=SAID)
    run_id = imported_run(request, chosen, read_result(NNI, chosen, "sens.csv")).save(store)
    test = open_page("4_Compare", run=run_id)
    assert_no_bug(test)
    assert [item.label for item in test.main.button] == ["See the curves"]
    test = open_page("Home")
    line = next(item.value for item in test.markdown if "sens" in item.value)
    assert "imported]" in line
    assert "no data" not in line
    assert "done" not in line
