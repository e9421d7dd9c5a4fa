"""Kill -9 of the process that started a sweep, at random moments: nothing may be lost.

    python -m benchmarks.kill_dashboard [--kills 20]

A process starts the sweep as the dashboard's button does (`analysis.worker.launch.start_sweep`)
and is killed with its whole process group. The worker must go on to the end, with the table of a
run that nothing disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from analysis.records.run import RunRow
from analysis.records.subject import SubjectSpec
from analysis.records.sweep import SweepSpec
from analysis.store.store import Store
from analysis.worker import launch

SPEC = SweepSpec(
    subject=SubjectSpec(
        model="sample:lenet5", data="sample:fashion-mnist", samples=1000, batch_size=20
    ),
    criteria=("l1",),
    ratios=(0.3, 0.6),
)
LAUNCHER = """
import sys, time
from pathlib import Path
from analysis import jobs
from benchmarks.kill_dashboard import SPEC
from analysis.store import Store
jobs.start_sweep(Store(Path(sys.argv[1])), SPEC)
time.sleep(600)
"""
COLUMNS = ["layer", "criterion", "kept", "samples", "correct", "status"]


def ended(store: Store, run_id: str) -> RunRow:
    """Wait for a run's end."""
    while (row := store.runs.get(run_id)).is_live:
        time.sleep(0.05)
    return row


def killed(folder: Path, samples: int, delay: float) -> tuple[RunRow, int, pd.DataFrame]:
    """Return a run whose launcher was killed, its samples at that moment, and its points.

    Args:
        folder: A workspace for it.
        samples: The kill comes after so many samples, ...
        delay: ... and so many seconds more.
    """
    store = Store(folder)
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, folder], start_new_session=True)
    while not store.runs.all() or store.runs.all()[0].pid is None:
        time.sleep(0.02)
    while store.runs.all()[0].progress.done < samples:
        time.sleep(0.005)
    run_id = store.runs.all()[0].run_id
    time.sleep(delay)
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    done = store.runs.get(run_id).progress.done
    row = ended(store, run_id)
    return row, done, store.points.table(run_id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    moments = random.Random(7)
    with tempfile.TemporaryDirectory() as name:
        store = Store(Path(name) / "undisturbed")
        run_id = launch.start_sweep(store, SPEC)
        ended(store, run_id)
        expected = store.points.table(run_id)[COLUMNS]
        rows = [
            killed(Path(name) / str(at), 20 * moments.randrange(40), moments.uniform(0.0, 0.1))
            for at in range(given.kills)
        ]
    done = sum(row.state == "done" for row, _, _ in rows)
    equal = sum(points[COLUMNS].equals(expected) for _, _, points in rows)
    samples = [done for _, done, _ in rows]
    print(f"{given.kills} kills: {done} runs went on to the end, {equal} tables equal")
    print(f"samples complete at the kill, of 1000: {samples}")
    print(json.dumps({"kills": given.kills, "done": done, "equal": equal, "samples": samples}))


if __name__ == "__main__":
    main()
