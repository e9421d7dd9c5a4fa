"""What a command finds out, says and keeps so that no work is lost or misread."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from analysis.files import check_writable
from analysis.store.store import Store
from pruners.errors import StoreError
from tests.helpers.command_line import Run, assert_one_line


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["sweep"], "--out"),
        (["shrink", "--max-drop", "0.1"], "--out"),
        (["shrink", "--max-drop", "0.1"], "--export"),
        (["plan", "--run", "last"], "--out"),
        (["plan", "--run", "last", "--frontier"], "--out"),
        (["report", "--plan", "x.json"], "--out"),
    ],
)
def test_where_nothing_can_be_written_no_work_is_done(
    run: Run, tmp_path: Path, command: list[str], option: str
) -> None:
    """A search of an hour ended in "cannot write to"."""
    in_the_way = tmp_path / "file"
    in_the_way.write_text("mine", encoding="utf-8")
    name = "report.html" if command[0] == "report" else "points.csv"
    # Whatever else is asked for, this is said first.
    code, out, err = run(*command, option, in_the_way / "below" / name)
    assert (code, out) == (1, "")
    assert err.startswith(f"prunescope: cannot write to {in_the_way}")
    assert err.rstrip().endswith(f"{in_the_way} is a file")
    assert in_the_way.read_text(encoding="utf-8") == "mine"


def test_a_file_is_no_folder_and_a_folder_no_file(run: Run, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    shrink = ("shrink", "--max-drop", "0.1")
    assert_one_line(run(*shrink, "--export", in_the_way), says="--export names a folder")
    assert_one_line(run(*shrink, "--out", tmp_path), says="--out names a file")


def test_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    for path in (tmp_path / "a.csv", tmp_path / "new" / "folder" / "a.csv", tmp_path):
        check_writable(path)
    assert list(tmp_path.iterdir()) == []
    check_writable(Path("/dev/null"))


def test_a_folder_that_may_not_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*, dir: Path) -> None:
        assert dir == tmp_path
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("analysis.files.TemporaryFile", refused)
    with pytest.raises(StoreError, match=r"cannot write to .*a.csv: Read-only file system"):
        check_writable(tmp_path / "new" / "a.csv")


def test_a_plan_that_was_measured_is_listed_once(run: Run, store: Store, folder: Path) -> None:
    """Plans of the command line were in no list, and gone with their file."""
    path = folder / "listed.json"
    chosen = ("--strategy", "uniform", "--ratio", "0.3", "--out", path)
    assert run("plan", "--run", "last", *chosen)[0] == 0
    evaluate = ("evaluate", "--plan", path, "--latency-seconds", "0")
    # What is tried on the way is not the plan of the file.
    assert run(*evaluate, "--repair", "none")[0] == 0
    assert store.plans.saved() == ()
    told = run(*evaluate)[2]
    assert run(*evaluate)[0] == 0
    (row,) = json.loads(run("plans", "list", "--json")[1])["plans"]
    assert f"The plan is {row['plan_id']} of the workspace." in told
    assert row["evaluated"]["samples"] > 0
    assert 0 < row["macs_left"] < 1


def test_a_plan_of_an_unfinished_run_says_so(
    run: Run, store: Store, swept: str, folder: Path
) -> None:
    """Curves of a sixth of the samples were planned from without a word."""
    path = folder / "unfinished.json"
    choose = ("plan", "--run", swept, "--strategy", "uniform", "--ratio", "0.3", "--out", path)
    assert "its curves are of" not in run(*choose)[2]
    unit = store.runs.get(swept).progress.unit
    with closing(sqlite3.connect(folder / "workspace" / "prunescope.sqlite")) as database, database:
        database.execute("UPDATE runs SET state = 'cancelled', done = total / 4")
    code, _, err = run(*choose)
    assert code == 0, err
    assert (
        f"Run {swept} is cancelled: its curves are of 25\N{NO-BREAK SPACE}% of its {unit}." in err
    )
    assert f"sweep --resume {swept}" in err
