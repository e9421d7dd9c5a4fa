"""The command line starts at once: what computes is imported only by what computes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 0.7
HEAVY = ("torch", "pandas", "streamlit")
COMMANDS = ("sweep", "plan", "evaluate", "recover", "export", "inspect", "serve", "runs")


def processor_time(command: list[str], workspace: Path) -> float:
    """Return the processor time of a command that ends well."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PRUNESCOPE_WORKSPACE": str(workspace), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-m", "analysis", *command]
    subprocess.run(arguments, cwd=ROOT, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("command", [["--help"], ["runs", "list"], ["sweep", "--help"]])
def test_it_takes_little_processor_time(command: list[str], tmp_path: Path) -> None:
    assert min(processor_time(command, tmp_path) for _ in range(3)) < SECONDS


def test_help_knows_the_choices_without_what_computes() -> None:
    code = (
        "import sys\nfrom analysis.cli import main\n"
        f"for name in {COMMANDS}:\n    assert main([name, '--help']) == 0\n"
        f"assert not set({HEAVY}) & set(sys.modules), set({HEAVY}) & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
