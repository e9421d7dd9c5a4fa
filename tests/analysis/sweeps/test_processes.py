"""Sweeps on several devices of this machine, a process each."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.devices import device_names, parse_devices
from analysis.edits import PreparedSubject, prepare
from analysis.records import SubjectSpec, SweepSpec
from analysis.store.runs import device_key
from analysis.subjects import load_subject
from analysis.subjects.data import Split
from analysis.sweeps import iter_sweep, plan_sweep
from analysis.sweeps.executors import ProcessExecutor
from analysis.sweeps.executors.shard import ShardWorker, unpacked
from pruners.errors import InputError, PruneScopeError, comes_again
from tests.helpers.sweep_tables import probe_of, table

pytestmark = pytest.mark.slow
SPEC = SweepSpec(
    subject=SubjectSpec(
        model="sample:lenet5", data="sample:fashion-mnist", samples=200, batch_size=100
    ),
    criteria=("l1", "taylor"),
    ratios=(0.0, 0.3, 0.6),
)
TWO = dataclasses.replace(SPEC, subject=dataclasses.replace(SPEC.subject, device="cpu,cpu"))


@pytest.fixture(scope="module")
def prepared() -> PreparedSubject:
    return prepare(load_subject(TWO.subject))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[ProcessExecutor]:
    """The executors of the test's sweeps."""
    made: list[ProcessExecutor] = []
    start = ProcessExecutor.__init__

    def noted(self: ProcessExecutor, *given: Any) -> None:
        start(self, *given)
        made.append(self)

    monkeypatch.setattr(ProcessExecutor, "__init__", noted)
    return made


# Adaptive sweeps on other executors: with each commit on a cluster, in test_ray.py.
@pytest.mark.parametrize(
    "mode", ["exhaustive", pytest.param("adaptive", marks=pytest.mark.nightly)]
)
def test_the_table_is_that_of_one_device_also_after_a_loss(
    mode: str, prepared: PreparedSubject, made: list[ProcessExecutor]
) -> None:
    changes: dict[str, Any] = {"mode": mode, "tolerance": 0.1}
    alone = list(iter_sweep(plan_sweep(prepared, dataclasses.replace(SPEC, **changes))))
    assert not made
    updates = iter_sweep(plan_sweep(prepared, dataclasses.replace(TWO, **changes)))
    shared = [next(updates)]
    pids = made[0].pids()
    assert len({*pids, os.getpid()}) == 3
    first = (made[0]._pools[0]._processes or {})[pids[0]]
    is_killed = mode == "exhaustive"
    if is_killed:
        os.kill(pids[1], signal.SIGKILL)
    shared += updates
    assert made[0].lost == is_killed
    assert table(shared[-1]) == table(alone[-1])
    ours, theirs = probe_of(alone), probe_of(shared)
    assert ours.keys() == theirs.keys() != set()
    assert all(np.array_equal(ours[key], theirs[key]) for key in ours)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    # One that is ended from outside leaves what it has of the system. Where two threads waited for
    # its end, one of them notes it a moment later.
    deadline = time.monotonic() + 10
    while first.exitcode is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert first.exitcode == 0


def test_what_goes_wrong_over_there_is_told_here(
    prepared: PreparedSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(prepared.identity, weights="other")
    monkeypatch.setattr(type(prepared), "identity", property(lambda self: other))
    with pytest.raises(InputError, match="another process finds different weights or modules"):
        list(iter_sweep(plan_sweep(prepared, TWO)))


DATA = """
from pathlib import Path
import torch

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 40
    def __getitem__(self, at):
        if (trouble := Path(__file__).with_suffix(".trouble")).exists():
            exec(trouble.read_text())
        return torch.full((1, 28, 28), at / 40), at % 10

def data():
    return Data()
"""


@pytest.mark.parametrize(
    ("trouble", "is_lasting"),
    [
        ("raise OSError(5, 'drive away')", False),
        ("raise ValueError('no image')", True),
        ("raise GeneratorExit('no image')", True),
    ],
)
def test_what_is_raised_over_there_comes_again_where_it_would_here(
    trouble: str, is_lasting: bool, tmp_path: Path, made: list[ProcessExecutor]
) -> None:
    """A drive that was away for a moment ended a sweep for good, if it had several devices."""
    (tmp_path / "own.py").write_text(DATA)
    found = []
    for device in ("cpu", "cpu,cpu"):
        (tmp_path / "own.trouble").unlink(missing_ok=True)
        subject = SubjectSpec(
            model="sample:lenet5", data=f"{tmp_path / 'own.py'}:data", samples=16,
            calibration_samples=8, device=device,
        )  # fmt: skip
        prepared = prepare(load_subject(subject))
        split = prepared.subject.evaluation
        assert split is not None
        unread = Split(split.source, split.indices, form=(10,), preload_bytes=0)
        prepared = prepared.of(dataclasses.replace(prepared.subject, evaluation=unread))
        planned = plan_sweep(prepared, SweepSpec(subject=subject, criteria=("l1",), ratios=(0.5,)))
        (tmp_path / "own.trouble").write_text(trouble)
        with pytest.raises(InputError, match=trouble.split("'")[1]) as caught:
            list(iter_sweep(planned))
        found.append(comes_again(caught.value))
    assert found == [is_lasting, is_lasting]
    assert [item.lost for item in made] == [0]


def test_a_batch_that_ends_each_process_ends_the_sweep_and_is_named(
    tmp_path: Path, made: list[ProcessExecutor]
) -> None:
    """It was said to be lost again and again; nothing said where, nor that it need not be."""
    (tmp_path / "own.py").write_text(DATA)
    subject = SubjectSpec(
        model="sample:lenet5", data=f"{tmp_path / 'own.py'}:data", samples=16, batch_size=8,
        device="cpu,cpu",
    )  # fmt: skip
    prepared = prepare(load_subject(subject))
    # Read by the other processes alone: it is in memory here.
    (tmp_path / "own.trouble").write_text(
        "import os, signal\nfrom multiprocessing import parent_process\n"
        "if parent_process() is not None: os.kill(os.getpid(), signal.SIGKILL)"
    )
    planned = plan_sweep(prepared, SweepSpec(subject=subject, criteria=("l1",), ratios=(0.5,)))
    said = r"device cpu was lost at batch 1 of 3, as were 3 .* Take a smaller batch size"
    with pytest.raises(InputError, match=said) as caught:
        list(iter_sweep(planned))
    assert comes_again(caught.value)
    assert [item.lost for item in made] == [4]


def test_a_process_that_does_not_come_up_says_why(
    prepared: PreparedSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken for lost again and again, for want of memory."""
    monkeypatch.setattr(
        "analysis.sweeps.executors.processes.packed", lambda items: [{"target": "nothing"}]
    )
    with pytest.raises(KeyError, match="nothing"):
        list(iter_sweep(plan_sweep(prepared, TWO)))


def test_an_error_that_only_users_code_knows_crosses(
    prepared: PreparedSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process was taken for lost: the class could not be read here."""
    (tmp_path / "own_errors.py").write_text("class NoImageError(Exception): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    kind = importlib.import_module("own_errors").NoImageError
    for problem in (kind("of 7"), SystemExit("of 7")):
        worker = ShardWorker.__new__(ShardWorker)
        worker._problem = problem
        with pytest.raises(PruneScopeError, match="of 7") as caught:
            unpacked(worker.measure(0, []), [])
        assert comes_again(caught.value) is isinstance(problem, SystemExit)
    worker._problem = KeyError("nothing")
    with pytest.raises(KeyError):
        worker.measure(0, [])


STOPPED = """
import os, signal, threading, time
from analysis.cli import main
from analysis.store.points import PointStore

def pressed(self, *given, save=PointStore.save, **more):
    save(self, *given, **more)
    # As a terminal does it: to all processes of the group.
    os.killpg(0, signal.SIGINT)

if __name__ == "__main__":
    PointStore.save = pressed
    raise SystemExit(main([
        "sweep", "--model", "sample:lenet5", "--data", "sample:fashion-mnist", "--samples", "200",
        "--batch-size", "50", "--criteria", "l1", "--ratios", "0.3", "--device", "cpu,cpu",
        "--workspace", "ws", "--json",
    ]))
"""


def test_ctrl_c_in_a_terminal_is_for_the_process_that_leads(tmp_path: Path) -> None:
    """The others left tracebacks, and were taken for lost."""
    (tmp_path / "stopped.py").write_text(STOPPED)
    done = subprocess.run(
        [sys.executable, "stopped.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 130, done.stderr
    found = json.loads(done.stdout)
    assert found["state"] == "cancelled"
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].endswith(f"Go on: {found['go_on']}")


SCRIPT = """
import dataclasses, sys, time
from analysis.edits import prepare
from analysis.records import SubjectSpec, SweepSpec
from analysis.subjects import load_subject
from analysis.sweeps import plan_sweep
from analysis.sweeps.executors import ProcessExecutor

if __name__ == "__main__":
    subject = SubjectSpec(
        model="sample:lenet5", data="sample:fashion-mnist", samples=20, device="cpu,cpu"
    )
    spec = SweepSpec(subject=subject, criteria=("l1",), ratios=(0.3,))
    planned = plan_sweep(prepare(load_subject(spec.subject)), spec)
    executor = ProcessExecutor(
        planned.prepared, spec, planned.grid.items, planned.slices, ("cpu", "cpu")
    )
    print(*executor.pids(), flush=True)
    time.sleep(60)
"""


def test_no_process_outlives_the_one_that_started_it(tmp_path: Any) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def test_names_of_devices() -> None:
    assert device_names("cuda, cuda:1") == ("cuda:0", "cuda:1")
    assert device_names("cpu,cpu") == ("cpu", "cpu")
    assert parse_devices("cuda") == "cuda"
    assert parse_devices("cuda,cuda:1") == "cuda:0,cuda:1"
    assert parse_devices("all")
    assert device_key("cuda:1,cuda") == "cuda:0,cuda:1"
    for bad, said in (("", "a device is needed"), ("cuda,cuda:0", "named twice")):
        with pytest.raises(InputError, match=said):
            device_names(bad)


@pytest.mark.parametrize("device", ["cuda:7", "mps", "xpu", "cpu,cuda:9", "nonsense", "meta"])
def test_devices_that_are_not_here_are_named(device: str) -> None:
    with pytest.raises(InputError, match="device") as found:
        load_subject(dataclasses.replace(SPEC.subject, device=device))
    assert "\n" not in str(found.value)
