"""``prunescope runs``, and what plans say of runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from analysis.cli import main
from analysis.store.store import Store
from tests.helpers.command_line import Run, assert_one_line
from tests.helpers.store_writer import SPEC


def test_runs(run: Run, subject: list[str], swept: str, folder: Path) -> None:
    code, out, _ = run("runs", "list", "--json")
    assert code == 0
    listed = {item["run_id"]: item for item in json.loads(out)["runs"]}
    assert listed[swept]["state"] == "done"
    assert swept in run("runs", "list")[1]

    code, out, _ = run("runs", "show", swept, "--json")
    assert code == 0
    shown = json.loads(out)
    assert (shown["schema_version"], shown["points"]) == (2, 12)
    path = folder / "shown.csv"
    code, out, _ = run("runs", "show", swept, "--out", path)
    assert code == 0
    assert "dense accuracy" in out
    assert len(pd.read_csv(path)) == 12

    code, out, err = run("sweep", *subject, "--criteria", "l2", "--ratios", "0.5", "--json")
    assert code == 0, err
    other = json.loads(out)["run_id"]
    code, out, _ = run("runs", "merge", swept, other, "--json")
    assert code == 0
    merged = json.loads(out)
    assert merged["spec"]["criteria"] == ["l1", "fpgm", "l2"]
    assert merged["points"] == 14

    code, out, _ = run("runs", "delete", merged["run_id"], "--json")
    assert json.loads(out) == {"deleted": merged["run_id"]}
    assert_one_line(run("runs", "show", merged["run_id"]), says="unknown run")


def test_layers_without_a_curve_are_named(run: Run, subject: list[str], folder: Path) -> None:
    """A plan listed them beside the others without a word."""
    code, out, _ = run(
        "sweep", *subject, "--criteria", "l1", "--ratios", "0.5", "--layers", "0", "--json"
    )
    assert code == 0
    run_id = json.loads(out)["run_id"]
    plan = ("plan", "--run", run_id, "--tolerance", "0.5", "--out", folder / "one.json")
    code, out, err = run(*plan)
    assert code == 0
    assert f"1 layer without a curve in run {run_id}: 2." in err
    assert json.loads(run(*plan, "--json")[1])["unmeasured"] == ["2"]


def test_a_damaged_run_is_listed_beside_the_others_and_can_be_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`runs list` failed, and so did `runs delete` of it."""
    store, place = Store(tmp_path), ["--workspace", str(tmp_path)]
    bad, good = store.runs.create(SPEC), store.runs.create(SPEC)
    with store.database.write() as db:
        db.execute("UPDATE runs SET spec = '{}' WHERE run_id = ?", (bad,))
        db.execute("UPDATE runs SET state = 'done'")
    assert main(["runs", "list", *place]) == 0
    printed = capsys.readouterr()
    rows = {row.split()[0]: row for row in printed.out.splitlines() if row.strip()}
    assert "damaged" in rows[bad]
    assert "done" in rows[good]
    assert f"Run {bad} cannot be read: SweepSpec: missing field subject" in printed.err
    assert main(["runs", "show", bad, *place]) == 1
    assert main(["runs", "delete", bad, *place]) == 0
    capsys.readouterr()
    assert main(["runs", "list", "--json", *place]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["run_id"] for row in found["runs"]] == [good]
    assert found["damaged"] == []


def test_a_run_shows_how_far_it_came_and_how_long_it_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Samples were those that it was asked for; one that was killed at its start took 0 s."""
    store = Store(tmp_path)
    run_id = store.runs.create(SPEC)

    def shown() -> dict[str, str]:
        assert main(["runs", "show", run_id, "--workspace", str(tmp_path)]) == 0
        lines = (line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
        return {words[0]: words[1].strip() for words in lines if len(words) == 2}

    store.jobs.attach(run_id, owner="me", pid=1, host="here")
    assert shown()["seconds"] == "-"
    with store.database.write() as db:
        db.execute("UPDATE runs SET samples = 10, total_samples = 40, seconds = 61")
    assert shown().items() >= {"samples": "10 of 40", "seconds": "1 min 01 s"}.items()


def test_a_reader_that_goes_away_ends_a_command_quietly() -> None:
    """`prunescope criteria | head -1` ended with a line about sys.exit."""
    command = [sys.executable, "-m", "analysis", "criteria"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert said == b""
