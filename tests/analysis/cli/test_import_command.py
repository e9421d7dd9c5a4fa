"""``prunescope import`` from the file to a plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.analysis.imports.test_results import distiller_rows
from tests.helpers.command_line import Run, assert_one_line

NNI = "layername,0.25,0.5\nmodule.0,0.5,0.4\nmodule.2,0.6,0.55\n"
ASKED = ["--granularity", "channel", "--criterion", "l1"]


@pytest.mark.slow
def test_from_another_tools_curves_to_a_plan(run: Run, folder: Path, subject: list[str]) -> None:
    file = folder / "sensitivity.csv"
    file.write_bytes(distiller_rows())
    assert_one_line(run("import", file), says="Give --granularity .*--criterion NAME")
    code, out, err = run("import", file, *ASKED, *subject[:4])
    assert code == 0, err
    run_id = out.strip()
    listed = json.loads(run("runs", "list", "--json")[1])["runs"]
    assert listed[0]["source"]["format"] == "distiller"
    assert "imported" in run("runs", "list")[1]
    shown = run("runs", "show", run_id)[1]
    assert "dense accuracy" in shown
    assert "90.00%" in shown
    plan = folder / "imported.json"
    filled = run(
        *("plan", "--run", run_id, "--strategy", "threshold", "--tolerance", "0.035"),
        *("--out", plan, "--repair", "none"),
    )
    assert filled[0] == 0, filled[2]
    entries = {item["layer"]: item for item in json.loads(plan.read_text())["entries"]}
    # A point is lost every 5 %: the last counts within 3.5 points, of 6 and of 8 filters.
    assert (entries["0"]["kept"], entries["2"]["kept"]) == (6, 7)
    assert "Predicted accuracy drop: 3.00 pp." in filled[2]
    measured = run("evaluate", "--plan", plan, "--json")
    assert measured[0] == 0, measured[2]


def test_numbers_that_are_not_of_the_task_are_left_out(
    run: Run, folder: Path, subject: list[str]
) -> None:
    """Fault of 3456206: an imported loss stood in points and reports as if it were accuracy."""
    file, plan = folder / "losses.csv", folder / "with-losses.json"
    file.write_text(NNI.replace("module.", ""))
    said = ["--unit", "loss", "--direction", "lower", "--baseline", "0.3"]
    code, out, err = run("import", file, *ASKED, *said, *subject[:4])
    assert code == 0, err
    run_id = out.strip()
    listing = folder / "list.json"
    listing.write_text('[{"op_names": ["2"], "sparse_ratio": 0.4375}]')
    assert run("import", listing, *ASKED, *subject[:4], "--out", plan)[0] == 0
    plan.write_text(json.dumps({**json.loads(plan.read_text()), "run": run_id}))
    code, _, err = run("export", "--plan", plan, "--format", "json", "--out", folder / "a")
    assert code == 0, err
    assert f"Run {run_id} was imported and is no classification: left out." in err
    refused = run("export", "--plan", plan, "--format", "csv", "--out", folder / "b")
    assert refused[0] == 2
    assert "writes measured points, but the plan has no run with points" in refused[2]


def test_a_plan_of_nni_becomes_a_plan_file(run: Run, folder: Path, subject: list[str]) -> None:
    file, plan = folder / "config_list.json", folder / "of-nni.json"
    file.write_text('[{"op_names": ["2"], "sparse_ratio": 0.4375}]')
    assert_one_line(run("import", file), says="give the model that it is for, --model")
    assert_one_line(run("import", file, "--unit", "loss"), says="leave --unit out")
    code, out, err = run("import", file, *ASKED, *subject[:4], "--out", plan, "--json")
    assert code == 0, err
    entries = {item["layer"]: item["kept"] for item in json.loads(plan.read_text())["entries"]}
    # int(0.4375 * 8) = 3 of 8 go.
    assert entries == {"0": 6, "2": 5}
    assert json.loads(out)["plan"] == json.loads(plan.read_text())
    # And the plan file itself, which knows its subject.
    assert run("import", plan)[0] == 0


def test_a_plan_of_text_or_pixels_has_their_task(run: Run, folder: Path) -> None:
    """It was classification, calibrated on 512: an error, or other numbers than a sweep's plan."""
    file, plan = folder / "config_list.json", folder / "of-nni.json"
    file.write_text('[{"op_names": ["encoders.0.0"], "sparse_ratio": 0.5}]')
    subject = ["--model", "sample:unet_small", "--data", "sample:scenes"]
    code, _, err = run("import", file, *ASKED, *subject, "--out", plan)
    assert code == 0, err
    found = json.loads(plan.read_text())["subject"]
    assert (found["task"], found["calibration_samples"]) == ("segmentation", 128)


def test_curves_without_a_model_are_curves_alone(run: Run, folder: Path) -> None:
    file = folder / "nni.csv"
    file.write_text(NNI)
    said = ["--unit", "fraction", "--direction", "higher", "--baseline", "0.61"]
    code, out, err = run("import", file, *ASKED, *said, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["spec"]["subject"]["model"] == "imported:nni"
    assert found["source"]["baseline"] == 0.61
    refused = run("plan", "--run", found["run_id"], "--ratio", "0.5", "--out", folder / "no.json")
    assert_one_line(refused, says="imported from nni.csv without a model.*--model")
    assert_one_line(run("import", file, *ASKED, *said, "--data", "sample:x"), says="give --model")
    assert_one_line(run("import", folder / "none.csv"), says="cannot be read")
