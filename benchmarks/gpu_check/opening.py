"""How long subjects take to open in a new process, and how long it takes to start."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence

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
# Prints the seconds of the imports, of what any first capture and first kernel take, and then of
# each subject: of loading, and of the rest (capture, groups, programs).
PROGRAM = """
import json, sys, time
marks = [time.perf_counter()]
def mark():
    marks.append(time.perf_counter())
    return marks[-1] - marks[-2]
from analysis.edits import prepare
from analysis.engine import wait_for
from analysis.records import SubjectSpec
from analysis.subjects import load_subject
import torch
from pruners.capture import capture
imports = mark()
subjects, device = json.loads(sys.argv[1]), torch.device(sys.argv[2])
layer = torch.nn.Conv2d(1, 2, 3).eval()
capture(layer, torch.zeros(2, 1, 4, 4))
layer.to(device)(torch.zeros(2, 1, 4, 4, device=device))
wait_for(device)
print(json.dumps([imports, mark()]), flush=True)
for fields in subjects:
    subject = load_subject(SubjectSpec(**fields, device=str(device)))
    loading = mark()
    prepare(subject)
    wait_for(device)
    print(json.dumps([loading, mark()]), flush=True)
"""


def opening_seconds(
    subjects: Sequence[Mapping[str, object]], device: str
) -> Iterator[tuple[float, float]]:
    """Yield seconds of a new process that opens some subjects, one after another.

    Args:
        subjects: Fields of `SubjectSpec`s, without the device.
        device: The device.

    Yields:
        First those of the imports, and of what any first capture and kernel take. Then of each
        subject those of loading and of preparing.

    Raises:
        RuntimeError: It failed; the message is its last line.
    """
    words = [sys.executable, "-c", PROGRAM, json.dumps(list(subjects)), device]
    with tempfile.TemporaryFile("w+") as told:
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=told, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                first, second = json.loads(line)
                yield first, second
        if process.returncode:
            told.seek(0)
            raise RuntimeError((told.read().splitlines() or ["no word"])[-1])


def check_opening(device: str, report: Report) -> None:
    """Time the opening of all samples."""
    with report.guarded("opening"):
        seconds = opening_seconds(list(SUBJECTS.values()), device)
        imports, start = next(seconds)
        report.add("start of a process", f"imports {imports:.2f} s, first capture {start:.2f} s")
        for name, (loading, preparing) in zip(SUBJECTS, seconds, strict=True):
            report.add(
                f"{name} opens",
                f"{loading + preparing:.2f} s (loading {loading:.2f})",
                passed=loading + preparing < OPEN_AIM,
                aim=f"< {OPEN_AIM:g} s",
            )
