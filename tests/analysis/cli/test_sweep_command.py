"""``prunescope sweep``."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.curves.points import columns
from analysis.store.points import PointStore
from analysis.store.store import Store
from pruners.errors import CaptureError, InputError, StoreFullError
from tests.helpers.command_line import Run
from tests.helpers.store_writer import SPEC


def test_sweep_json_and_files(run: Run, subject: list[str], swept: str, folder: Path) -> None:
    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        path = folder / f"points{suffix}"
        code, out, err = run(
            "sweep", *subject, "--criteria", "l1,fpgm", "--ratios", "0.25:0.75:0.25",
            "--out", path, "--json",
        )  # fmt: skip
        assert code == 0, err
        assert "0 points to measure, 12 known from earlier runs" in err
        found = json.loads(out)
        assert {"run_id", "points", "seconds", "baseline"} <= set(found)
        assert set(found["baseline"]) == {"samples", "correct", "accuracy", "loss"}
        assert found["points"] == 12
        table = read(path)
        assert list(table) == list(columns())
        assert list(table["run_id"]) == [found["run_id"]] * 12
        order = list(zip(table["layer"], table["criterion"], table["ratio_requested"], strict=True))
        assert [str(item[0]) for item in order] == ["0"] * 6 + ["2"] * 6
        assert [item[1] for item in order] == (["l1"] * 3 + ["fpgm"] * 3) * 2
        assert [item[2] for item in order] == [0.25, 0.5, 0.75] * 4
        assert set(table["samples"]) == {96}


def test_ctrl_c_is_130_and_the_run_can_be_resumed(
    run: Run, subject: list[str], swept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = PointStore.save
    saved: list[Any] = []

    def interrupted(self: PointStore, run_id: str, update: Any, **more: Any) -> None:
        save(self, run_id, update, **more)
        saved.append(update)
        if len(saved) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    arguments = ["sweep", *subject, "--criteria", "l1", "--ratios", "0.1,0.9", "--json"]
    with monkeypatch.context() as patch:
        patch.setattr(PointStore, "save", interrupted)
        code, out, err = run(*arguments)
    assert code == 130
    stopped = json.loads(out)
    assert stopped["state"] == "cancelled"
    assert stopped["baseline"]["samples"] in (16, 96)
    assert f"prunescope sweep --resume {stopped['run_id']}" in err

    code, out, err = run("sweep", "--resume", stopped["run_id"], "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["run_id"] == stopped["run_id"]
    assert (found["state"], found["points"], found["baseline"]["samples"]) == ("done", 4, 96)

    code, out, err = run("sweep", "--resume", stopped["run_id"])
    assert (code, out.strip()) == (0, stopped["run_id"])
    assert f"Run {stopped['run_id']} is done already: nothing is left to measure." in err


def of_a_file(problem: Exception) -> Exception:
    """An error that the system's own is told as: a drive that is away may come back."""
    problem.__context__ = OSError(5, "Input/output error")
    return problem


@pytest.mark.parametrize(
    ("problem", "comes_again"),
    [
        (InputError("the data broke"), True),
        (CaptureError("the data broke"), True),
        (SystemExit("the data broke"), True),
        (GeneratorExit("the data broke"), True),
        (RuntimeError("the data broke"), False),
        (of_a_file(InputError("the data broke")), False),
        (StoreFullError("the data broke"), False),
    ],
)
def test_a_sweep_that_fails_is_one_line_more(
    problem: BaseException,
    comes_again: bool,
    run: Run,
    subject: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What model or data are to blame for would come again, and nobody is told to go on."""

    def failing(*_: object, **__: object) -> Any:
        raise problem
        yield

    monkeypatch.setattr("analysis.sweeps.iter_sweep", failing)
    code, out, err = run("sweep", *subject, "--criteria", "l2", "--ratios", "0.3")
    assert (code, out) == (1 if isinstance(problem, StoreFullError) else 2, "")
    last = err.splitlines()[-1]
    assert last.startswith("prunescope: ")
    assert re.search(r"the data broke\b.* \(run ", last)
    assert ("--resume" in last) is not comes_again


def test_a_sweep_whose_statistics_fail_leaves_no_run(
    run: Run, subject: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stayed in the queue and held up the next run for 20 seconds."""

    def failing(*_: object, **__: object) -> None:
        raise InputError("the calibration loss is inf")

    monkeypatch.setattr("analysis.edits.prepared.PreparedSubject.prepare", failing)
    before = run("runs", "list", "--json")[1]
    code, _, err = run("sweep", *subject, "--criteria", "taylor", "--ratios", "0.35")
    assert (code, err.splitlines()[-1]) == (2, "prunescope: the calibration loss is inf")
    assert run("runs", "list", "--json")[1] == before


def test_waiting_for_another_run_is_said_in_logs(
    run: Run, subject: list[str], folder: Path
) -> None:
    """Logs were silent for as long as another run took."""
    store = Store(folder / "workspace")
    other = store.runs.create(SPEC)
    store.jobs.attach(other, owner="me", pid=os.getpid(), host=socket.gethostname())
    assert store.jobs.claim_device(other)
    end = threading.Timer(1.5, lambda: store.jobs.finish(other, "cancelled", owner="me", seconds=0))
    end.start()
    code, _, err = run("sweep", *subject, "--criteria", "l1", "--ratios", "0.5", "--layers", "0")
    end.join()
    assert code == 0
    assert err.count("Waiting for the device cpu: 1 run before this one.") == 1
