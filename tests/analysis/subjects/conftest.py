"""The program, called in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.cli import main
from tests.helpers.command_line import Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("PRUNESCOPE_WORKSPACE", str(tmp_path / "workspace"))

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(item) for item in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call
