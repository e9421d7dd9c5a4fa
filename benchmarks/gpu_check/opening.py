"""How long a subject takes to open in a new process, which has nothing that an earlier one left."""

from __future__ import annotations

import json
import subprocess
import sys

from analysis.records import DEFAULT_TASK
from benchmarks.gpu_check.report import Report

IMAGES = ("lenet5", "vgg_small", "resnet20", "mobilenet_small", "densenet_small", "vit_tiny")
SUBJECTS: dict[str, dict[str, object]] = {
    name: {"model": f"sample:{name}", "data": f"sample:{data}", "task": task, "samples": 2000}
    for name, data, task in (
        *((name, "fashion-mnist", DEFAULT_TASK) for name in IMAGES),
        ("kws_conv1d", "keywords", DEFAULT_TASK),
        ("unet_small", "scenes", "segmentation"),
        ("llama_tiny", "king-james", "language_modelling"),
    )
}
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
subject = load_subject(SubjectSpec(**json.loads(sys.argv[1])))
marks.append(time.perf_counter())
prepare(subject)
wait_for(subject.example.device)
marks.append(time.perf_counter())
print(json.dumps([end - start for start, end in zip(marks, marks[1:])]))
"""


def opening_seconds(subject: dict[str, object]) -> tuple[float, float, float]:
    """Return the seconds of imports, loading and preparing, in a process of its own.

    Args:
        subject: Fields of a `SubjectSpec`.

    Raises:
        RuntimeError: It failed; the message is its last line.
    """
    words = [sys.executable, "-c", PROGRAM, json.dumps(subject)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.splitlines() or ["no word"])[-1])
    imports, loading, preparing = json.loads(done.stdout)
    return imports, loading, preparing


def check_opening(device: str, report: Report) -> None:
    """Time the opening of all samples."""
    for name, subject in SUBJECTS.items():
        with report.guarded(f"{name} opens"):
            imports, loading, preparing = opening_seconds({**subject, "device": device})
            seconds = loading + preparing
            report.add(
                f"{name} opens",
                f"{seconds:.2f} s (loading {loading:.2f}), after {imports:.2f} s of imports",
                passed=seconds < OPEN_AIM,
                aim=f"< {OPEN_AIM:g} s",
            )
