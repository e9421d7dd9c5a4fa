"""What starts often starts fast: listing runs and asking for help cost little processor time."""

from __future__ import annotations

import dataclasses
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.store.store import Store
from tests.helpers.store_writer import SPEC, keys, update
from tests.test_architecture import HEAVY, ROOT

LIMIT_SECONDS = 0.7
COMMANDS = ("sweep", "plan", "evaluate", "recover", "export", "inspect", "serve", "runs")
USES_EVERYTHING = """
import sys
from pathlib import Path
import analysis.store
for name in analysis.store.__all__:
    getattr(analysis.store, name)
store = analysis.store.Store(Path(sys.argv[1]))
assert len(store.runs.all()) == 20
store.points.reasons(store.runs.get("last").run_id)
store.plans.saved()
store.evaluations.all(store.runs.get("last").identity)
import analysis.cli.commands.plans
analysis.cli.commands.plans.list_plans(Path(sys.argv[1]))
print(*{name.split(".")[0] for name in sys.modules})
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty runs with points."""
    folder = tmp_path_factory.mktemp("workspace")
    store = Store(folder)
    for number in range(20):
        run_id = store.runs.create(dataclasses.replace(SPEC, layers=f"layer{number}*"))
        store.jobs.attach(run_id, owner="me", pid=os.getpid(), host="here")
        store.points.save(run_id, update(1, keys()), owner="me")  # type: ignore[arg-type]
    store.close()
    return folder


def processor_seconds(*arguments: str) -> float:
    """Return what a command takes, the best of ten at most: whatever else runs here only adds."""
    taken: list[float] = []
    while len(taken) < 10 and min(taken, default=LIMIT_SECONDS) >= LIMIT_SECONDS:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, cwd=ROOT, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        )
    return min(taken)


def test_listing_runs_takes_little_processor_time(workspace: Path) -> None:
    command = ("-m", "analysis", "runs", "list", "--workspace", str(workspace))
    assert processor_seconds(*command) < LIMIT_SECONDS


@pytest.mark.parametrize("command", ["", "sweep"])
def test_help_takes_little_processor_time(command: str) -> None:
    assert processor_seconds("-m", "analysis", *command.split(), "--help") < LIMIT_SECONDS


def test_help_knows_the_choices_without_what_computes() -> None:
    code = (
        "import sys\nfrom analysis.cli import main\n"
        f"for name in {COMMANDS}:\n    assert main([name, '--help']) == 0\n"
        f"assert not {HEAVY} & set(sys.modules), {HEAVY} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_listing_criteria_loads_no_compiler() -> None:
    """3 s, of which torch._dynamo took over a second for the names of errors."""
    code = (
        "import sys\nfrom analysis.cli import main\nassert main(['criteria']) == 0\n"
        "assert not {'torch._dynamo', 'sympy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_using_the_store_loads_nothing_heavy(workspace: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", USES_EVERYTHING, str(workspace)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert not HEAVY & set(run.stdout.split())
