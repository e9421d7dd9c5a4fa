"""What people type and hand over, in error or on purpose: one line and an exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.cli import main

Refused = Callable[..., str]
QUITTERS = """
import sys, torch
from torch import nn
def net(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
def quits(): sys.exit(0)
class Forward(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)
    def forward(self, x): sys.exit("enough")
class Data:
    def __len__(self): return 40
    def __getitem__(self, index): exit(3) if index == 7 else None; return torch.zeros(1, 28, 28), 1
class Length(Data):
    def __len__(self): sys.exit(4)
"""


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refused:
    """Call the program in a folder of the test; return the one line with which it refuses."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, code: int = 2) -> str:
        found = main([str(item) for item in arguments])
        error = capsys.readouterr().err
        assert found == code, error
        assert "Traceback" not in error
        assert error.count("\n") == 1, error
        return error

    return call


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        ("quits", "Data", "quits() raised RuntimeError: the code called sys.exit(0)"),
        ("Forward", "sample:fashion-mnist", "the code called sys.exit('enough')"),
        ("net", "Data", "reading a sample raised RuntimeError: the code called sys.exit(3)"),
        ("net", "Length", "the code called sys.exit(4)"),
        ("net", "quits", "quits() raised RuntimeError: the code called sys.exit(0)"),
    ],
)
def test_code_of_the_user_ends_nothing(
    refused: Refused, tmp_path: Path, model: str, data: str, said: str
) -> None:
    """B3 of issue 9: the page never answered, the command ended with the code and no line."""
    Path(tmp_path, "q.py").write_text(QUITTERS)
    data = data if ":" in data else f"q.py:{data}"
    assert said in refused("inspect", "--model", f"q.py:{model}", "--data", data)


def test_files_that_end_the_program_when_they_are_imported(
    refused: Refused, tmp_path: Path
) -> None:
    """B3 of issue 9: modules, files and criterion files."""
    Path(tmp_path, "leaves.py").write_text("import sys\nsys.exit(5)\n")
    for address in ("leaves.py:build", "leaves:build"):
        assert "sys.exit(5)" in refused("inspect", "--model", address)
    assert "leaves.py: RuntimeError: the code called sys.exit(5)" in refused(
        "sweep",
        *("--model", "sample:lenet5", "--data", "sample:fashion-mnist", "--criteria", "l1"),
        *("--criterion-file", "leaves.py", "--samples", "50"),
    )
