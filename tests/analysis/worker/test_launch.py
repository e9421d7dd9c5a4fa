"""Workers in processes of their own: how they start, and what they leave if they do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis import worker
from analysis.records.sweep import SweepSpec
from analysis.store.store import Store
from analysis.worker import launch
from pruners.errors import InputError, StoreError
from tests.helpers.worker_runs import (
    ROOT,
    assert_same_points,
)


class TestJobs:
    def test_start_in_a_process_of_its_own(
        self, store: Store, spec: SweepSpec, expected: pd.DataFrame
    ) -> None:
        run_id = launch.start_sweep(store, spec)
        while (row := store.runs.get(run_id)).is_live:
            threading.Event().wait(0.05)
        assert (row.state, row.error) == ("done", "")
        assert row.pid not in (None, os.getpid())
        assert_same_points(store.points.table(run_id), expected)
        with pytest.raises(InputError, match="is done"):
            launch.resume(store, run_id)

    def test_the_roots_of_the_launcher_hold_in_the_worker(
        self, store: Store, spec: SweepSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("PRUNESCOPE_ROOTS", json.dumps([str(tmp_path / "elsewhere")]))
        run_id = store.runs.create(spec)
        assert worker.main([run_id, "--workspace", str(store.workspace)]) == 1
        assert "outside of the folders" in store.runs.get(run_id).error

    def test_roots_are_passed_on(
        self, store: Store, spec: SweepSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        commands: list[list[str]] = []

        class NoProcess:
            def __init__(self, command: list[str], **options: object) -> None:
                assert options["start_new_session"] is True
                commands.append(command)

            def wait(self) -> None: ...

        monkeypatch.setattr(subprocess, "Popen", NoProcess)
        launch.start_sweep(store, spec, roots=[tmp_path / "a", tmp_path / "b"])
        assert commands[0][-4:] == ["--root", str(tmp_path / "a"), "--root", str(tmp_path / "b")]

    def test_a_worker_that_cannot_start_is_told(
        self, store: Store, spec: SweepSpec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError("out of processes")

        monkeypatch.setattr(subprocess, "Popen", refuse)
        with pytest.raises(StoreError, match="cannot be started: out of processes"):
            launch.start_sweep(store, spec)
        row = store.runs.get("last")
        assert (row.state, row.error) == (
            "failed",
            "the worker cannot be started: out of processes",
        )

    def test_an_unknown_run_is_one_line(
        self, store: Store, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert worker.main(["nothing", "--workspace", str(store.workspace)]) == 1
        assert capsys.readouterr().err.count("\n") == 1

    def test_a_worker_that_dies_at_once_leaves_its_reason(
        self, store: Store, spec: SweepSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """It was "interrupted" without a reason, half a minute later."""
        broken = tmp_path / "python"
        broken.write_text("#!/bin/sh\necho 'no such library' >&2\nexit 7\n")
        broken.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(broken))
        run_id = launch.start_sweep(store, spec)
        deadline = time.monotonic() + 20
        while (row := store.runs.get(run_id)).state == "queued" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert row.state == "failed"
        assert row.error == "the worker ended at once with code 7: no such library"

    def test_a_package_of_the_working_folder_is_not_the_worker(
        self, store: Store, spec: SweepSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """The folder's `analysis` ran, as `-m` puts the folder first."""
        (tmp_path / "analysis").mkdir()
        (tmp_path / "analysis" / "__init__.py").write_text("raise SystemExit('the other one')\n")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(("", str(ROOT))))
        run_id = launch.start_sweep(store, replace(spec, ratios=(0.5,), criteria=("l1",)))
        while (row := store.runs.get(run_id)).is_live:
            threading.Event().wait(0.05)
        assert (row.state, row.error) == ("done", "")
