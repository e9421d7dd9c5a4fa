"""Runs of a worker, in this process and in one of their own."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd

from analysis import worker
from analysis.edits.prepared import PreparedSubject
from analysis.records.run import RunRow
from analysis.store.store import Store
from analysis.sweeps import plan_sweep

INTEGERS = ["kept", "total", "samples", "correct", "params", "macs"]


ROOT = Path(__file__).resolve().parents[2]


def run(store: Store, run_id: str, prepared: PreparedSubject, **options: object) -> RunRow:
    return worker.run_to_end(
        store, run_id, open_sweep=lambda row: plan_sweep(prepared, row.spec), **options
    )  # type: ignore[arg-type]


def assert_same_points(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Equal byte for byte in the integer columns, and to the last digits elsewhere."""
    assert found[INTEGERS].to_csv() == expected[INTEGERS].to_csv()
    rest = [name for name in found if name not in ("run_id", "seconds")]
    pd.testing.assert_frame_equal(found[rest], expected[rest], check_exact=False, rtol=1e-12)


def wait_for_samples(store: Store, run_id: str, samples: int, process: threading.Event) -> None:
    while store.runs.get(run_id).progress.done < samples:
        assert not process.wait(0.02), "the worker ended before"


class Ended(threading.Event):
    """Set when a process has ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__()

        def wait() -> None:
            process.wait()
            self.set()

        threading.Thread(target=wait, daemon=True).start()


def start_worker(store: Store, run_id: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "analysis.worker", run_id, "--workspace", str(store.workspace)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
