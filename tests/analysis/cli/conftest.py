"""The program, called in this process, on a small subject."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest

from analysis import cli
from analysis import edits as contexts
from analysis.cli import main, options
from analysis.store.store import Store
from analysis.subjects.subject import load_subject
from tests.helpers.command_line import Run
from tests.helpers.tiny_subject import write_subject


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def subject(folder: Path) -> list[str]:
    """Options that name the subject, small enough for a test."""
    spec = write_subject(folder)
    assert spec.data is not None
    given = ["--model", spec.model, "--data", spec.data, "--samples", "96"]
    return [*given, "--batch-size", "16", "--calibration-samples", "32"]


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the program in this process; loaded subjects are opened once."""
    monkeypatch.setenv(options.WORKSPACE_VARIABLE, str(folder / "workspace"))
    monkeypatch.setenv("COLUMNS", "200")
    # All are imported before any is changed: one that came later would keep what it found.
    found = [item.name for item in walk_packages(cli.__path__, "analysis.cli.")]
    for module in [import_module(name) for name in found]:
        if hasattr(module, "prepare_subject"):
            monkeypatch.setattr(module, "prepare_subject", opened)

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(item) for item in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


_open: dict[Any, Any] = {}


def opened(spec: Any, workspace: Path | None) -> Any:
    if spec not in _open:
        _open[spec] = contexts.prepare(load_subject(spec))
    return _open[spec]


@pytest.fixture(scope="module")
def swept(folder: Path, subject: list[str]) -> str:
    """A finished run."""
    os.environ[options.WORKSPACE_VARIABLE] = str(folder / "workspace")
    try:
        code = main(["sweep", *subject, "--criteria", "l1,fpgm", "--ratios", "0.25:0.75:0.25"])
        assert code == 0
        store = Store(folder / "workspace")
        run_id = store.runs.get("last").run_id
        store.close()
    finally:
        del os.environ[options.WORKSPACE_VARIABLE]
    return run_id


@pytest.fixture
def store(folder: Path, swept: str) -> Iterator[Store]:
    """The workspace after a sweep; no plans stay in it."""
    found = Store(folder / "workspace")
    yield found
    for item in found.plans.saved():
        found.plans.delete(item.plan_id)
    found.close()
