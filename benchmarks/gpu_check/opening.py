"""How long a subject takes to open in a new process, which has nothing that an earlier one left."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.gpu_check.report import Report

NAMES = ("resnet20", "mobilenet_small")
OPEN_AIM = 3.0
# Prints the seconds of the imports, of loading, and of the rest (capture, groups, programs).
PROGRAM = """
import json, sys, time
began = time.perf_counter()
from analysis.edits import prepare
from analysis.engine import wait_for
from analysis.records import SubjectSpec
from analysis.subjects import load_subject
marks = [began, time.perf_counter()]
spec = SubjectSpec(model=sys.argv[1], data="sample:fashion-mnist", samples=2000, device=sys.argv[2])
subject = load_subject(spec)
marks.append(time.perf_counter())
prepare(subject)
wait_for(subject.example.device)
marks.append(time.perf_counter())
print(json.dumps([end - start for start, end in zip(marks, marks[1:])]))
"""


def opening_seconds(model: str, device: str) -> tuple[float, float, float]:
    """Return the seconds of imports, loading and preparing, in a process of its own.

    Raises:
        RuntimeError: It failed; the message is its last line.
    """
    words = [sys.executable, "-c", PROGRAM, model, device]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.splitlines() or ["no word"])[-1])
    imports, loading, preparing = json.loads(done.stdout)
    return imports, loading, preparing


def check_opening(device: str, report: Report) -> None:
    """Time the opening of samples on the device and on the processor."""
    for name in NAMES:
        for where in dict.fromkeys((device, "cpu")):
            with report.guarded(f"{name} opens on {where}"):
                imports, loading, preparing = opening_seconds(f"sample:{name}", where)
                seconds = loading + preparing
                report.add(
                    f"{name} opens on {where}",
                    f"{seconds:.2f} s (loading {loading:.2f}), after {imports:.2f} s of imports",
                    passed=seconds < OPEN_AIM,
                    aim=f"< {OPEN_AIM:g} s",
                )
